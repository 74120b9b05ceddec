"""Sending to addresses as people write them, and to servers that are not ours."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from classifier.errors import UserError
from local import sending
from waits import PATIENCE_S

PUG = {"predictions": [{"class": "pug", "index": 1, "probability": 0.75}]}
Serve = Callable[..., int]


def read_request(client: socket.socket) -> bytes:
    """Return a request, whose body is the one byte that these tests send."""
    data = b""
    while not data.partition(b"\r\n\r\n")[2] and (piece := client.recv(65536)):
        data += piece
    return data


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers))
    return head.encode() + b"\r\n\r\n" + body


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers every connection with `answer`; return its port. `requests` gets what was sent."""
    listeners = []

    def start(answer: bytes, requests: list[bytes] | None = None, family: int = socket.AF_INET) -> int:
        listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
        listeners.append(listener)

        def run() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # closed: the test is over
                    return
                with client:
                    data = read_request(client)
                    if requests is not None:
                        requests.append(data)
                    client.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/invocations"),
        ("localhost:8080", "http://localhost:8080/invocations"),
        ("localhost", "http://localhost/invocations"),
        ("host:8080/", "http://host:8080/invocations"),
        ("http://host:8080//", "http://host:8080/invocations"),
        ("HTTP://host:8080", "http://host:8080/invocations"),
        ("https://host", "https://host/invocations"),
        ("http://host:8080/invocations", "http://host:8080/invocations"),
        ("host:8080/invocations/", "http://host:8080/invocations"),
        ("host:8080/a/b", "http://host:8080/a/b/invocations"),
        ("http://host/a/invocations?key=1#part", "http://host/a/invocations?key=1"),
        ("[::1]:8080", "http://[::1]:8080/invocations"),
        ("https://[::1]", "https://[::1]/invocations"),
    ],
)
def test_an_address_as_people_write_it(url, expected):
    assert sending.invocations_url(url) == expected


@pytest.mark.parametrize(
    "url",
    ["", "http://", ":8080", "::1:8080", "http://[::1", "host:port", "host:99999", "host:0", "a b", "host:80\n"]
    + ["ftp://host", "file:///etc/passwd", "s3://bucket/key", "http:host:8080"],
)
def test_what_is_no_address_is_one_sentence(url):
    with pytest.raises(UserError) as error:
        sending.sender(url)
    expected = f"{url!r} is not the address of a server; accepted: HOST:PORT, [IPV6]:PORT, http://HOST:PORT or https:"
    assert expected in str(error.value)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://localhost:{}/", "127.0.0.1:{}/invocations"])
def test_an_answer(serve, form):
    seen: list[bytes] = []
    port = serve(http(json.dumps(PUG).encode()), seen)
    answer = sending.classify("a.jpg", b"x", sending.sender(form.format(port)))
    assert answer == PUG | {"file": "a.jpg", "milliseconds": answer["milliseconds"]}
    assert seen[0].startswith(b"POST /invocations HTTP/1.1\r\n")
    assert b"Content-Type: application/x-image\r\n" in seen[0]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_an_answer_over_ipv6(serve):
    port = serve(http(json.dumps(PUG).encode()), family=socket.AF_INET6)
    assert sending.classify("a.jpg", b"x", sending.sender(f"[::1]:{port}"))["predictions"] == PUG["predictions"]


def test_a_server_does_not_say_which_file_was_sent_and_is_shown(serve):
    body = b'{"predictions": [{"class": "pug", "probability": 0.9}], "file": "/etc/passwd", "milliseconds": "z"}'
    answer = sending.classify("a.jpg", b"x", sending.sender(f"127.0.0.1:{serve(http(body))}"))
    assert list(answer) == ["file", "milliseconds", "predictions"]
    assert answer["file"] == "a.jpg"
    assert answer["milliseconds"] >= 0


def test_an_error_is_the_servers(serve):
    port = serve(http(b'{"error": "no image"}', "400 Bad Request"))
    assert sending.classify("a.jpg", b"x", sending.sender(f"127.0.0.1:{port}"))["error"] == "no image"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>\n<h1>It works</h1></html>",
        b"\xff\x00",
        b"[1]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b"{}",
        b'{"message": "Forbidden"}',
        b'{"error": {"code": 1}}',
        b'{"error": ""}',
        b'{"predictions": [{"class": "", "probability": 1}]}',
        b'{"predictions": []}',
        b'{"predictions": [[0.1, 0.9]]}',
        b'{"predictions": [{"class": "a", "probability": 1}, {}]}',
        b'{"predictions": [{"class": "a", "probability": "high"}]}',
        b'{"predictions": {"class": "a"}}',
        b'{"error": "shut", "predictions": [{"probability": 1}]}',
        b'{"predictions": [{"class": "a", "probability": 1}], "known": "yes"}',
        b'{"predictions": [{"class": "a", "probability": 1}], "known": []}',
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "502 Bad Gateway"])
def test_an_answer_that_is_not_ours_is_one_sentence(serve, body, status):
    answer = sending.classify("a.jpg", b"x", sending.sender(f"127.0.0.1:{serve(http(body, status))}"))
    assert answer["error"].startswith("not an answer of our server: '")
    assert len(answer["error"]) < 300
    assert "\n" not in answer["error"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect"])
def test_a_redirect_is_named_and_not_followed(serve, status):
    port = serve(http(b"", status, "Location: https://elsewhere/invocations"))
    with pytest.raises(UserError, match="redirects to 'https://elsewhere/invocations': give --url that address"):
        sending.sender(f"127.0.0.1:{port}")(b"x")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH_NOT_A_NUMBER = "the length of one of its chunks is not a number"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9\x1b[31m\r\n", r"it does not begin as HTTP does, but with 'SSH-2.0-OpenSSH_9\x1b[31m'"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "it does not begin as HTTP does, but with 'HTTP/1.1 abc OK'"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "it is in 'HTTP/2.0'; accepted: HTTP/1.1"),
        (http(b"x" * 99)[:-9], "it ends too early"),
        (CHUNKED + b"5\r\nab", "it ends too early"),
        (CHUNKED + b"zz\r\nab", LENGTH_NOT_A_NUMBER),
        (CHUNKED + b"-5\r\nab", LENGTH_NOT_A_NUMBER),
        (http(b"", "200 OK", *["A: 1"] * 200), "its head is too long"),
        (http(b"", "200 OK", "A: " + "x" * 70_000), "its head is too long"),
        (http(b"x" * 99, "200 OK", "Content-Encoding: gzip"), "it cannot be decompressed"),
    ],
)
def test_an_answer_that_is_damaged_is_one_sentence(serve, answer, expected):
    url = f"127.0.0.1:{serve(answer)}"
    with pytest.raises(UserError) as error:
        sending.sender(url)(b"x")
    assert str(error.value) == f"the answer of {url} is damaged: {expected}"


def test_a_server_that_closes_without_an_answer(serve):
    with pytest.raises(UserError, match=r"no server answers at 127\.0\.0\.1"):
        sending.sender(f"127.0.0.1:{serve(b'')}")(b"x")


@pytest.mark.parametrize("answer", [http(b"", "400 Bad Request"), b""])
def test_https_to_a_server_without_tls(serve, answer, monkeypatch):
    """Ours waits for the rest of a request that begins so strangely, and gets none."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(sending, "CONNECT_SECONDS", 0.5)
        with pytest.raises(UserError, match=r"handshake .*timed out; a server without TLS needs http://"):
            sending.sender(f"https://127.0.0.1:{silent.getsockname()[1]}")(b"x")
    monkeypatch.setattr(sending, "CONNECT_SECONDS", PATIENCE_S)
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer_at_once() -> None:
            client, _ = plain.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        threading.Thread(target=answer_at_once, daemon=True).start()
        with pytest.raises(UserError, match=r"SSL.*; a server without TLS needs http://"):
            sending.sender(f"https://127.0.0.1:{plain.getsockname()[1]}")(b"x")


def test_a_proxy_that_does_not_answer_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(UserError, match="at host:80 through the proxy 127.0.0.1:9 .*: .*Connection refused$") as error:
        sending.sender("host:80")(b"x")
    assert "secret" not in str(error.value)


def test_a_name_that_no_host_can_have():
    with pytest.raises(UserError, match="no server answers at aaa.*label"):
        sending.sender("a" * 99)(b"x")


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_an_answer_that_drips_ends_in_time(start, monkeypatch):
    monkeypatch.setattr(sending, "ANSWER_SECONDS", 0.5)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as slow:

        def drip() -> None:
            client, _ = slow.accept()
            with client, suppress(OSError):
                client.sendall(start)
                while not over.wait(0.05):
                    client.sendall(b"x")

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(UserError, match="no server answers at 127.0.0.1:.*no whole answer within 0.5 s"):
            sending.sender(f"127.0.0.1:{slow.getsockname()[1]}")(b"x")
    over.set()


def test_an_answer_without_an_end_is_cut_off(serve, monkeypatch):
    monkeypatch.setattr(sending, "MOST_BYTES", 1000)
    port = serve(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000)
    assert sending.sender(f"127.0.0.1:{port}")(b"x") == b"x" * 1000
