"""Answers in JSON to requests that do not reach the application, for lack of room or time or as invalid HTTP."""

import contextlib
import json
import socket

from gunicorn import util
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException

from classifier.serving.app import RETRY_AFTER_S

FULL, TOO_LARGE = "503 Service Unavailable", "413 Content Too Large"
SLOW, CUT_OFF, TINY_CHUNKS = "408 Request Timeout", "400 Bad Request", "400 Tiny Chunks"
_SENTENCES = {
    FULL: "the server has as many requests as it can answer in time; try again later",
    TOO_LARGE: "the request body is larger than {} MB, the most that is accepted",
    SLOW: "the request did not arrive in time",
    TINY_CHUNKS: "the request body has too many chunks; accepted: chunks of 1 kB and more",
    CUT_OFF: "the request body is shorter than its Content-Length",
}
_OF_PARSER = {LimitRequestLine: "414 URI Too Long", LimitRequestHeaders: "431 Request Header Fields Too Large"}


def send_refusal(client: socket.socket, status: str, most_mb: int) -> int:
    """Send the answer for one of the statuses above and return the length of its body in bytes."""
    return _send(client, status, _SENTENCES[status].format(most_mb))


def send_error(client: socket.socket, error: BaseException) -> tuple[int, int]:
    """Send why gunicorn failed on a request and return the answer's status and the length of its body in bytes."""
    if isinstance(error, ParseException):
        status, sentence = _OF_PARSER.get(type(error), "400 Bad Request"), f"not a valid HTTP request: {error}"
    else:
        status, sentence = "500 Internal Server Error", "the server failed on this request; its log says why"
    return int(status[:3]), _send(client, status, sentence)


def _send(client: socket.socket, status: str, sentence: str) -> int:
    body = json.dumps({"error": sentence}) + "\n"
    retry = f"Retry-After: {RETRY_AFTER_S}\r\n" if status == FULL else ""
    headers = f"Connection: close\r\nContent-Type: application/json\r\n{retry}Content-Length: {len(body)}"
    with contextlib.suppress(OSError):
        util.write_nonblock(client, f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}".encode())
    return len(body)
