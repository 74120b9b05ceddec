import io

import pytest

from classifier.serving import wsgi

SCOPE = {
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "raw_path": b"/a%20b",
    "query_string": b"c=%20",
    "headers": [],
    "server": ("127.0.0.1", 8080),
}


def environ_of(**changes: object) -> dict:
    environ = wsgi.environ_of(SCOPE | changes)
    body = io.BytesIO()
    body.write(b"hello")
    wsgi.add_body(environ, body)
    return environ


def test_the_environ_has_path_query_and_body():
    environ = environ_of()
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a b", "c=%20")
    assert (environ["CONTENT_LENGTH"], environ["wsgi.input"].read()) == ("5", b"hello")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        *[
            (b"http://x/ping", "/ping"),
            (b"HTTPS://x:1/a%2Fb", "/a/b"),
            (b"http://x", "/"),
            (b"*", "*"),
            (b"/%ff", "/\xff"),
        ],
        *[(b"http://[::1/ping", "/ping"), (b"http://]:x/ping", "/ping"), (b"http:///ping", "/ping")],
    ],
)
def test_the_path_of_any_form_of_target(target, path):
    assert environ_of(raw_path=target)["PATH_INFO"] == path


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ([(b"content-type", b"image/png")], "CONTENT_TYPE", "image/png"),
        ([(b"x-a", b"1"), (b"x-a", b"\xfc")], "HTTP_X_A", "1,\xfc"),
        ([(b"upgrade", b"websocket")], "HTTP_UPGRADE", None),
        ([(b"content-length", b"9")], "CONTENT_LENGTH", "5"),
        ([(b"transfer-encoding", b"Chunked")], "HTTP_TRANSFER_ENCODING", None),
        (
            [(b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")],
            "HTTP_TRANSFER_ENCODING",
            "gzip,chunked",
        ),
    ],
)
def test_headers(fields, key, value):
    assert environ_of(headers=fields).get(key) == value


def test_an_answer_is_joined_and_closed():
    closed = []

    class Pieces(list):
        def close(self) -> None:
            closed.append(True)

    def application(environ, start_response):
        start_response("404 Not Found", [("X-A", "\xfc")])
        return Pieces([b"a", b"b"])

    assert wsgi.call(application, {}) == (404, [(b"X-A", b"\xfc")], b"ab")
    assert closed == [True]
