"""Which requests container/serve understands, and how it refuses the others."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from select import select

import psutil
import pytest

from helpers import Server
from raw_http import (
    CHUNKED,
    JPEG,
    LENGTH,
    ONE_CHUNK,
    PING,
    PING_S,
    POST,
    connect,
    raw,
    small_server,
)


@pytest.fixture(scope="module")
def server(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with small_server(artifact_folder, tmp_path_factory.mktemp("log") / "log") as running:
        yield running
        assert len(running.workers) == 1


# What is valid


@pytest.mark.parametrize(
    "end",
    [
        *(b"0\r\n\r\n", b"000\r\n\r\n", b"0;x=y\r\n\r\n", b'0 ; x="a;\r b"\r\n\r\n'.replace(b"\r b", b" b")),
        *(b"0\r\nX-Sum: 1\r\n\r\n", b"00;a\r\nA: 1\r\nB:\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 10**6])
def test_every_end_of_chunks_is_known(server, end, size):
    data = ONE_CHUNK + end + PING
    answers = raw(server, *(data[i : i + size] for i in range(0, len(data), size)))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"200"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (PING.replace(b"/ping", b"http://x/ping"), 200),
        (PING.replace(b"/ping", b"HTTP://x:80/ping?a=b"), 200),
        (PING.replace(b"/ping", b"/p%69ng"), 200),
        *((PING.replace(b"/ping", target), 404) for target in (b"/ping/", b"/x//ping", b"/ping%2F")),
        *((PING.replace(b"/ping", target), 200) for target in (b"//ping", b"/%2Fping", b"http://x", b"http://x?a=b")),
        (LENGTH.replace(b"/inv", b"//inv") + JPEG, 200),
        (
            PING.replace(
                b"Host", b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA\r\nHost"
            ),
            200,
        ),
        (PING.replace(b"Host", b"Content-Length: 0\r\nHost"), 200),
        (PING.replace(b"GET", b"HEAD"), 200),
        *((PING.replace(b": x", b": " + host), 200) for host in (b"", b"a.b:80", b"[::1]:80", b"127.0.0.1", b"a_b:")),
        (PING.replace(b"1.1", b"1.0").replace(b"Host: x\r\n", b""), 200),
        (PING.replace(b"GET", b"OPTIONS"), 200),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PUT /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000), 405),
        *((lines + PING, 200) for lines in (b"\r\n", 2 * b"\r\n", 60_000 * b"\r\n")),
        (LENGTH.replace(b"Host", b"Expect: a-raise\r\nHost") + JPEG, 200),
        (LENGTH.replace(b"1.1", b"1.0").replace(b"Host", b"Expect: 100-continue\r\nHost") + JPEG, 200),
    ],
)
def test_other_forms_of_requests(server, request_bytes, status):
    answers = raw(server, request_bytes)
    assert re.findall(rb"HTTP/1.[01] (\d+)", answers) == [b"%d" % status]


def test_a_head_has_no_body(server):
    answer = server.request("HEAD", "/execution-parameters")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize(("fields", "is_kept"), [(b"", False), (b"Connection: keep-alive\r\n", True)])
def test_http_1_0(server, fields, is_kept):
    answers = raw(server, 2 * PING.replace(b"1.1", b"1.0").replace(b"Host", fields + b"Host"))
    assert answers.count(b"HTTP/1.0 200 OK") == 1 + is_kept


@pytest.mark.parametrize("times", [1, 2])
def test_a_client_that_asks_first_is_told_to_go_on_once(server, times):
    with connect(server) as connection, connection.makefile("rb") as stream:
        connection.sendall(LENGTH.replace(b"Host", b"Expect: 100-continue\r\n" * times + b"Host"))
        assert stream.readline() + stream.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(JPEG)
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"POST /x", b"404"), (b"PUT /invocations", b"405"), (b"POST /ping", b"405"), (b"GET /ping", b"200")],
)
def test_a_client_that_asks_first_is_told_that_nobody_wants_its_body(server, line, status):
    assert_refused_unread(server, LENGTH.replace(b"POST /invocations", line), status)


@pytest.mark.parametrize("head", [LENGTH, CHUNKED])
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Type: video/mp4", b"415"),
        (b"Content-Type: multipart/form-data; boundary=a", b"415"),
        (b"Content-Type: image/jpeg\r\nContent-Encoding: gzip", b"415"),
        (b"Content-Type: image/jpeg\r\nAccept: image/png", b"406"),
        (b"Content-Type: image/jpeg\r\nX-Amzn-SageMaker-Custom-Attributes: k=0", b"400"),
    ],
)
def test_a_client_that_asks_first_is_told_what_its_head_alone_is_refused_for(server, head, fields, status):
    assert_refused_unread(server, head.replace(b"Content-Type: image/jpeg", fields), status)


def assert_refused_unread(server: Server, head: bytes, status: bytes) -> None:
    with connect(server) as connection, connection.makefile("rb") as stream:
        connection.sendall(head.replace(b"Host", b"Expect: 100-continue\r\nHost"))
        assert stream.readline().split()[1] == status
        connection.sendall(PING * 3)  # what it sends all the same is no request
        assert b"HTTP/1.1" not in stream.read()


def test_a_client_that_asks_first_is_told_what_is_too_large(server):
    with connect(server) as connection, connection.makefile("rb") as stream:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
        assert stream.readline().startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("pieces", [[b"\r\n\r\n"], [b"\r", b"\n"]])
def test_empty_lines_behind_a_request_are_not_the_next_one(server, pieces):
    """Old clients send them behind a body; the connection stays idle, and ends without another answer."""
    with connect(server) as connection:
        connection.sendall(LENGTH + JPEG + pieces[0])
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        for piece in pieces[1:]:
            connection.sendall(piece)
        connection.sendall(PING)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"".join(pieces))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096) == b""


@pytest.mark.parametrize("cut", [3, 7, 30, len(PING) - 2])
def test_a_request_of_which_a_part_came_with_the_one_before_it(server, cut):
    with connect(server) as connection:
        connection.sendall(PING + PING[:cut])
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(PING[cut:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_hundreds_of_requests_at_once_on_a_connection(server):
    assert raw(server, PING * 500 + LENGTH + JPEG).count(b"HTTP/1.1 200 OK") == 501


# What is not


@pytest.mark.parametrize(
    "request_bytes",
    [
        LENGTH.replace(b"Host", b"Expect: 100-continue\nX: y\r\nHost"),
        LENGTH.replace(b"Host", b"Expect: \0\r\nHost"),
        LENGTH.replace(b"1.1", b"1.0").replace(b"Host", b"Expect: 100-continue\nX: y\r\nHost"),
        LENGTH.replace(b"Host: x\r\n", b"Host: x\n"),
        LENGTH.replace(b"Host: x\r\n", b"Host: x\r\n folded\r\n"),
        LENGTH.replace(b"Host: x\r\n", b"Host: x\r\nHost: y\r\n"),
        LENGTH.replace(b"Host: x\r\n", b"Host : x\r\n"),
        LENGTH.replace(b"Host: x\r\n", b"\x01: x\r\n"),
        LENGTH.replace(b"Host: x\r\n", b"Host: x\ry\r\n"),
        *(LENGTH.replace(b"Length: ", b"Length: " + sign) for sign in (b"+", b"-", b"0x", b"1_", b"1,", b"9" * 5000)),
        LENGTH.replace(b"Host", b"Content-Length: %d\r\nHost" % len(JPEG)),
        LENGTH.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost"),
        *(CHUNKED.replace(b"chunked", coding) for coding in (b"chunked, gzip", b"identity", b"chunked, chunked", b"")),
        CHUNKED.replace(b"1.1", b"1.0"),
        *(
            CHUNKED + size + b"\r\nabc\r\n0\r\n\r\n"
            for size in (b"+3", b"-3", b" 3", b"3 ", b"0x3", b"", b"3_", b"3;\n")
        ),
        CHUNKED + b"3\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"3\r\nabc0\r\n\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
        *(
            CHUNKED + b"3\r\nabc\r\n0\r\n" + trailer + b"\r\n\r\n"
            for trailer in (b"GET /ping HTTP/1.1\r\nHost: x", b"X", b": 1", b"X : 1", b" X: 1", b"X: \0")
        ),
        *(PING.replace(b"Host: x\r\n", field) for field in (b"", b"Host: a b/\r\n", b"Host: /\r\n", b"Host: a@b\r\n")),
        CHUNKED + b"f" * 40 + b"\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"ffff\r\n\r\n0\r\n\r\n",
        CHUNKED + b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n",
        *(empty + PING for empty in (b"\n", b"\r", b"\r\n\n", b"\r\r\n", b" \r\n")),
        *(PING.replace(b"HTTP/1.1", version) for version in (b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"", b"HTTP/1.1 ")),
        *(PING.replace(b"GET", method) for method in (b"get", b"G", b"G(T", b"GET ")),
        *(PING.replace(b"/ping", target) for target in (b"ping", b"/p\0ing", b"/p\xc3\xbcng", b"*")),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(300),
    ],
)
def test_bytes_that_make_no_sense_are_refused_with_all_that_follows(server, request_bytes):
    answers = raw(server, request_bytes, PING)
    head, _, body = answers.partition(b"\r\n\r\n")
    assert len(re.findall(rb"HTTP/1.1 \d", answers)) == 1
    assert head.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.1 501 Not Implemented\r\n"))
    assert b"Connection: close" in head
    assert json.loads(body).keys() == {"error"}


@pytest.mark.parametrize(
    ("request_bytes", "status", "sentence"),
    [
        (
            PING.replace(b"HTTP/1.1", b"HTTP/3"),
            400,
            "not a valid HTTP request: its version is 'HTTP/3'; accepted: HTTP/1.1 and HTTP/1.0",
        ),
        (PING.replace(b"GET", b"get"), 400, "not a valid HTTP request: its method is 'get'; accepted: such as GET"),
        (b" " + PING, 400, "not a valid HTTP request: it begins with no method; accepted: a first line such as POST"),
        (b"\x16\x03\x01\x02\0", 400, "not a valid HTTP request: this port takes HTTP, not HTTPS"),
        (b"GET /ping\r\n\r\n", 400, "not a valid HTTP request: its first line is not valid; accepted: a first line"),
        (PING.replace(b"Host", b"Ho st"), 400, "not a valid HTTP request: a header's name is 'Ho st'"),
        (
            CHUNKED.replace(b"chunked", b"br"),
            501,
            "not a valid HTTP request: its Transfer-Encoding is 'br'; accepted: chunked",
        ),
        (
            LENGTH.replace(b"th: ", b"th: " + b"9" * 5000),
            400,
            "not a valid HTTP request: a number in its head is too long",
        ),
        (LENGTH, 400, "the request ends before its head or its body is whole"),
        (PING[:-2], 400, "the request ends before its head or its body is whole"),
        (
            PING.replace(b"Host", b"A: %s\r\n" % (b"a" * 8000) * 20 + b"Host"),
            431,
            "the request's head is larger than 64 kB",
        ),
        (PING.replace(b"Host", b"A: a\r\n" * 200 + b"Host"), 431, "not a valid HTTP request: Too many headers"),
        (POST + b"Content-Length: 999999999999\r\n\r\n", 413, "the request body is larger than 1 MB"),
        (
            ONE_CHUNK.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n",
            415,
            "Transfer-Encoding 'gzip, chunked' is not",
        ),
        (
            ONE_CHUNK.replace(b"Tr", b"Transfer-Encoding: gzip\r\nTr", 1) + b"0\r\n\r\n",
            415,
            "Transfer-Encoding 'gzip,chunked'",
        ),
    ],
)
def test_refusals_say_why(server, request_bytes, status, sentence):
    head, _, body = raw(server, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"].startswith(sentence)


@pytest.mark.parametrize(
    ("start", "status"),
    [
        *((start, 400) for start in (b"\x16\x03\x01\x02\0", b"\0", b"{", b"AMQP\0\0\x09\x01", b"a" * 30)),
        *((CHUNKED + b"1" + b"0" * zeros + b"\r\n", 400) for zeros in (16, 17, 1000)),
        (CHUNKED + b"8000000000000000\r\nabc", 400),
        (CHUNKED + b"7fffffffffffffff\r\nabc", 413),
        (CHUNKED + b"3\r\nabc\r\n10000000\r\n", 413),
        (CHUNKED + b"3;" + b"x" * 9000, 400),
        (CHUNKED + b"0\r\nx" + b"x" * 9000, 431),
        (b"GET /" + b"x" * 5000, 414),
        (PING[:-2] + b"x" * 9000, 431),
    ],
)
def test_what_cannot_become_a_request_is_refused_at_once(server, start, status):
    """A client that speaks TLS, for example, sends no end of a line, and waits."""
    with connect(server) as connection:
        connection.settimeout(PING_S)
        connection.sendall(start)
        assert connection.recv(4096).startswith(b"HTTP/1.1 %d " % status)


def test_chunks_without_end_are_refused_and_not_kept(server):
    worker, chunk = psutil.Process(server.workers[-1]), b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    before, most, sent = worker.memory_info().rss, 0, 0
    with connect(server) as connection:
        connection.sendall(CHUNKED)
        while sent < 200 and not select([connection], [], [], 0)[0]:
            connection.sendall(chunk)
            most, sent = max(most, worker.memory_info().rss), sent + 1
        assert b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 413 ")
    assert most < before + (20 << 20)


def test_no_answer_names_the_server(server):
    for data in (PING, b"nonsense\r\n\r\n", LENGTH + JPEG, LENGTH):
        assert b"server:" not in raw(server, data).lower()
        assert b"gunicorn" not in raw(server, data).lower()
