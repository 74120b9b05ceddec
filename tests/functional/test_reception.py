"""How container/serve receives requests: whatever arrives, and however slowly, /ping and good requests are answered."""

import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from classifier.serving.front import QUEUE
from classifier.serving.share import MOST_CONNECTIONS, choose_share
from classifier.serving.worker import CHECK_S
from helpers import Answer, Server, encode, photo, serve
from waits import PATIENCE_S, wait_until

PING_S = 2
JPEG = encode(photo(60, 50))
POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
LENGTH = POST + b"Content-Length: %d\r\n\r\n" % len(JPEG)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CHUNK = CHUNKED + b"%x\r\n%s\r\n" % (len(JPEG), JPEG)
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
CONNECTIONS, THREADS = MOST_CONNECTIONS, choose_share(1).threads
# The model waits as long as a file exists, and the worker takes the time to be later as long as another one does.
PATCH = """
import os, time
import classifier.serving.connection as c, classifier.serving.front as f, classifier.serving.server as s
from classifier.serving.worker import Worker
f.QUEUE_BYTES = 0  # which leaves room for two bodies
c.MOST_CHUNKS = 200
end, model_of = Worker.end_late, s.model_of
Worker.end_late = lambda self, now, patience: end(self, now + 80 * os.path.exists({later!r}), patience)
def held_model_of(*arguments):
    model = model_of(*arguments)
    def submit(pixels, deadline):
        while os.path.exists({held!r}):
            time.sleep(0.01)
        return model.submit(pixels, deadline)
    return model._replace(submit=submit)
s.model_of = held_model_of
"""


@pytest.fixture(scope="module")
def server(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "log"
    with serve(artifact_folder.parent, log, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as running:
        running.wait_for_ping(200)
        yield running
        assert "Traceback" not in running.log
        assert len(running.workers) == 1


@dataclass
class Patched:
    """A server, and the files that make it wait or take the time to be later."""

    server: Server
    held: Path
    later: Path


@pytest.fixture(scope="module")
def patched(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patched]:
    folder = tmp_path_factory.mktemp("patched")
    held, later = folder / "held", folder / "later"
    patch = PATCH.format(held=str(held), later=str(later))
    with serve(artifact_folder.parent, folder / "log", patch, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as running:
        running.wait_for_ping(200)
        yield Patched(running, held, later)
        assert "Traceback" not in running.log


@contextmanager
def existing(file: Path) -> Iterator[None]:
    file.touch()
    try:
        yield
    finally:
        file.unlink()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)


def raw(server: Server, *pieces: bytes) -> bytes:
    """Return the answer to these bytes, after which the client sends no more."""
    with connect(server) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def post(server: Server) -> Answer:
    return server.request("POST", "/invocations", JPEG, {"Content-Type": "image/jpeg"})


def send(server: Server, connections: int, data: bytes, stack: ExitStack) -> list[socket.socket]:
    """Send the data on each of these connections, which the stack closes."""
    clients = [stack.enter_context(connect(server)) for _ in range(connections)]
    for client in clients:
        client.sendall(data)
    return clients


def leave(server: Server, data: bytes) -> None:
    """Send the data and close the connection, as a client whose patience ends."""
    with connect(server) as connection:
        connection.sendall(data)


def reset(server: Server, data: bytes) -> None:
    """Send the data and break the connection off."""
    with connect(server) as connection:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def assert_prompt(server: Server) -> None:
    assert max(server.request("GET", "/ping").seconds for _ in range(5)) < PING_S


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
    """What it sends all the same is no request."""
    with connect(server) as connection, connection.makefile("rb") as stream:
        asking = LENGTH.replace(b"Host", b"Expect: 100-continue\r\nHost")
        connection.sendall(asking.replace(b"POST /invocations", line))
        assert stream.readline().split()[1] == status
        connection.sendall(PING * 3)
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


def test_a_chunk_is_one_in_however_many_pieces_it_comes(patched):
    body = JPEG + bytes((1 << 20) - len(JPEG))
    chunked = CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    pieces = (chunked[i : i + 4000] for i in range(0, len(chunked), 4000))
    assert raw(patched.server, *pieces).startswith(b"HTTP/1.1 200 OK")


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


def test_no_answer_names_the_server(server):
    for data in (PING, b"nonsense\r\n\r\n", LENGTH + JPEG, LENGTH):
        assert b"server:" not in raw(server, data).lower()
        assert b"gunicorn" not in raw(server, data).lower()


# What takes long


@pytest.mark.parametrize("data", [CHUNKED + b"ffff\r\n\r\n0\r\n\r\n", CHUNKED, LENGTH, PING[:-2], PING[:3]])
def test_requests_that_never_end_hold_up_nobody(server, data):
    """However many they are: a thread for each would be one too many."""
    with ExitStack() as stack:
        send(server, THREADS + 16, data, stack)
        server.wait_for_connections(THREADS + 16)
        assert post(server).status == 200
        assert_prompt(server)


@pytest.mark.parametrize("data", [b"", PING[:5], POST + b"Content-Length: 9999\r\n\r\na"])
def test_more_connections_than_are_kept(server, data):
    """A connection that was answered before is kept, as that of a router, and the others make room for new ones."""
    with ExitStack() as stack:
        router = stack.enter_context(connect(server))
        router.sendall(PING)
        assert router.recv(4096).startswith(b"HTTP/1.1 200 OK")
        for _ in range(CONNECTIONS + 300):
            connection = stack.enter_context(connect(server))
            connection.setblocking(False)
            with suppress(OSError):
                connection.send(data)
        assert post(server).status == 200
        assert_prompt(server)
        router.sendall(PING)
        assert router.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_a_burst_of_more_connections_than_are_kept(server):
    """Each is read before it makes room for another, since its request may be there already."""
    with ExitStack() as stack:
        clients = send(server, CONNECTIONS + 300, PING, stack)
        assert {client.recv(4096)[:15] for client in clients} == {b"HTTP/1.1 200 OK"}


def test_a_burst_of_fewer_connections_than_are_kept(server):
    """The clients take their time to send their requests, and none is closed."""
    with ExitStack() as stack:
        clients = send(server, CONNECTIONS - 50, PING[:5], stack)
        for client in clients:
            client.sendall(PING[5:])
        assert {client.recv(4096)[:15] for client in clients} == {b"HTTP/1.1 200 OK"}


def test_a_client_that_only_ends_its_sending_is_answered(patched):
    with ThreadPoolExecutor(1) as pool:
        with existing(patched.held):
            answer = pool.submit(raw, patched.server, LENGTH + JPEG)
            time.sleep(3 * CHECK_S)
        assert answer.result().startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_has_ended_its_sending_does_not_wait(patched):
    """It is refused when it ends its sending, and when it did so before."""
    with ExitStack() as stack, existing(patched.held):
        send(patched.server, THREADS, LENGTH + JPEG, stack)
        patched.server.wait_for_connections(THREADS)
        early = raw(patched.server, PING + LENGTH + JPEG)
        (late,) = send(patched.server, 1, LENGTH + JPEG, stack)
        patched.server.wait_for_connections(THREADS + 1)
        late.shutdown(socket.SHUT_WR)
        answers = [early.partition(b"\r\n\r\n")[2], late.recv(4096)]
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After" in answer
        assert answer.endswith(b'had ended its sending, as one that has left"}\n')


def test_a_burst_where_few_files_may_be_open(artifact_folder, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"
    with serve(artifact_folder.parent, tmp_path / "log", limit) as server, ExitStack() as stack:
        server.wait_for_ping(200)
        send(server, 200, b"", stack)
        assert_prompt(server)
        clients = send(server, 400, LENGTH + JPEG, stack)
        assert {client.recv(4096)[:12] for client in clients} <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert_prompt(server)
        assert "Traceback" not in server.log


def test_connections_that_break_off_after_their_request(server):
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: reset(server, LENGTH + JPEG), range(1500)):
            pass
    assert_prompt(server)
    assert post(server).status == 200


def test_the_bytes_of_the_queue_are_bounded(patched):
    """Run before the next test, whose requests are in the queue for a moment longer than it lasts."""
    body = JPEG + bytes((1 << 20) - len(JPEG))
    with ThreadPoolExecutor(3) as pool, existing(patched.held):
        waiting = [pool.submit(patched.server.request, "POST", "/invocations", body) for _ in range(3)]
        wait_until(lambda: any(answer.done() for answer in waiting), "a refusal")
    answers = sorted((answer.result() for answer in waiting), key=lambda answer: answer.status)
    assert [answer.status for answer in answers] == [200, 200, 503]
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert post(patched.server).status == 200


@pytest.mark.parametrize("end", [reset, leave])
@pytest.mark.parametrize("data", [LENGTH + JPEG, 2 * (LENGTH + JPEG), LENGTH + JPEG + b"\r\n"])
def test_clients_that_have_left_occupy_no_place_in_the_queue(patched, end, data):
    """Of them, those are computed that had a thread."""
    with ThreadPoolExecutor(4) as pool:
        with existing(patched.held):
            computed = patched.server.log.count('"status": 200')
            for _ in pool.map(lambda _: end(patched.server, data), range(THREADS + QUEUE + 50)):
                pass
            patched.server.wait_for_few_connections(THREADS)
            assert_prompt(patched.server)
            answer = pool.submit(post, patched.server)
            patched.server.wait_for_connections(1)
            assert_prompt(patched.server)
            assert not answer.done()
        assert answer.result().status == 200
        patched.server.wait_for_few_connections(0)
    assert patched.server.log.count('"status": 200') - computed <= 2 * THREADS + 1


def test_chunks_that_cost_time_hold_up_nobody(server):
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(60)]
        for connection in connections:
            connection.setblocking(False)
            connection.send(CHUNKED + b"1\r\nx\r\n" * 40_000)
        assert_prompt(server)
        assert post(server).seconds < PING_S


def test_a_client_that_does_not_read_its_answers_is_left(patched):
    with connect(patched.server) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            while True:
                connection.sendall(PING.replace(b"/ping", b"/") * 100)
        assert_prompt(patched.server)
        with existing(patched.later), pytest.raises(ConnectionError):
            while True:
                with suppress(TimeoutError):
                    connection.sendall(PING)


def test_idle_connections_are_closed_in_the_end(patched):
    with connect(patched.server) as new, connect(patched.server) as kept:
        kept.sendall(PING)
        assert kept.recv(4096).startswith(b"HTTP/1.1 200 OK")
        with existing(patched.later):
            assert (new.recv(1), kept.recv(1)) == (b"", b"")
