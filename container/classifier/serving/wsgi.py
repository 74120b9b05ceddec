"""Calls a WSGI application with a request that an ASGI server has received."""

import io
import re
import sys
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

# Before the path, where a client writes the whole address as for a proxy.
AUTHORITY = re.compile("https?://[^/?#]*", re.IGNORECASE)


class Response(NamedTuple):
    """A status, ASGI's headers, and the body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def environ_of(scope: dict[str, Any]) -> dict[str, Any]:
    """Return WSGI's environ of ASGI's scope. The body is yet to be added, by add_body."""
    target = scope["raw_path"].decode("latin-1")
    if authority := AUTHORITY.match(target):
        target = target[authority.end() :] or "/"
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": re.sub("^/+", "/", unquote_to_bytes(target).decode("latin-1")),  # as werkzeug reads it
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key, text = "HTTP_" + name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    # HTTP lets a server go on as if no other protocol had been asked for; werkzeug would look for a WebSocket's route.
    environ.pop("HTTP_UPGRADE", None)
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH", "")
    return environ


def add_body(environ: dict[str, Any], body: io.BytesIO) -> None:
    """Give the environ its body, whose chunks have been joined."""
    environ["CONTENT_LENGTH"] = str(body.tell())
    environ["wsgi.input"] = body
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        del environ["HTTP_TRANSFER_ENCODING"]
    body.seek(0)


def call(application, environ: dict[str, Any]) -> Response:
    """Return the WSGI application's answer."""
    head: list[Any] = []
    pieces = application(environ, lambda *arguments: head.extend(arguments))
    try:
        body = b"".join(pieces)
    finally:
        getattr(pieces, "close", lambda: None)()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head[1]]
    return Response(int(head[0][:3]), headers, body)
