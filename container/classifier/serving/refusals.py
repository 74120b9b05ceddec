"""Answers in JSON to requests that do not reach the application: for lack of room or time, or as invalid HTTP."""

from http import HTTPStatus
from typing import NamedTuple

from gunicorn.asgi import parser

from classifier.serving.answers import JSON, error_body
from classifier.serving.base import RETRY_AFTER_S

MOST_SHOWN = 40
_STATUSES = {parser.LimitRequestLine: 414, parser.LimitRequestHeaders: 431, parser.UnsupportedTransferCoding: 501}
_LINE = "a first line such as POST /invocations HTTP/1.1"
# Of errors whose words are only the value: what has it, and what is accepted.
_THINGS = {
    parser.InvalidHTTPVersion: ("its version", "HTTP/1.1 and HTTP/1.0"),
    parser.InvalidRequestMethod: ("its method", "such as GET and POST"),
    parser.InvalidHeaderName: ("a header's name", "letters, digits and -, of a field that may stand there"),
    parser.UnsupportedTransferCoding: ("its Transfer-Encoding", "chunked"),
}


class Refusal(NamedTuple):
    """A status and, in one sentence, its reason."""

    status: int
    sentence: str

    def body(self) -> bytes:
        return error_body(self.sentence).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that go with body()."""
        retry = [(b"Retry-After", b"%d" % RETRY_AFTER_S)] if self.status == HTTPStatus.SERVICE_UNAVAILABLE else []
        return [(b"Content-Type", JSON.encode()), (b"Content-Length", b"%d" % len(self.body())), *retry]

    def message(self) -> bytes:
        """Return the answer as it goes over a connection that is then closed."""
        fields = b"".join(b"%s: %s\r\n" % field for field in [(b"Connection", b"close"), *self.headers()])
        status = HTTPStatus(self.status)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), fields, self.body())


FULL = Refusal(503, "the server has as many requests as it can answer in time; try again later")
LEFT = Refusal(503, "the request had to wait, and its client had ended its sending, as one that has left")
SLOW = Refusal(408, "the request did not arrive in time")
CUT_OFF = Refusal(400, "the request ends before its head or its body is whole")
LONG_HEAD = Refusal(431, "the request's head is larger than 64 kB, the most that is accepted")
NOT_HTTP = Refusal(400, f"not a valid HTTP request: it begins with no method; accepted: {_LINE}")
HTTPS = Refusal(400, "not a valid HTTP request: this port takes HTTP, not HTTPS")
FAILED = Refusal(500, "the server failed on this request; its log says why")


def too_large(most_mb: int) -> Refusal:
    return Refusal(413, f"the request body is larger than {most_mb} MB, the most that is accepted")


def invalid(error: Exception) -> Refusal:
    """Return why gunicorn's parser raised `error`."""
    reason = str(error)
    if thing := _THINGS.get(type(error)):
        reason = f"{thing[0]} is {reason[:MOST_SHOWN]!a}; accepted: {thing[1]}"
    elif isinstance(error, parser.InvalidRequestLine):
        reason = f"its first line is not valid; accepted: {_LINE}"
    elif isinstance(error, ValueError):  # of int()
        reason = "a number in its head is too long"
    return Refusal(_STATUSES.get(type(error), HTTPStatus.BAD_REQUEST), f"not a valid HTTP request: {reason}")
