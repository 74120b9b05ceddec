"""What is wrong with a server's answer that is not whole HTTP, without the words of Python's libraries."""

import http.client
import zlib
from collections.abc import Sequence


def damage(causes: Sequence[BaseException]) -> str:
    """Return what is damaged, by the errors of a request, the innermost last; "" if there was no answer at all."""
    from urllib3.exceptions import DecodeError, InvalidHeader, LocationParseError

    last = causes[-1]
    if isinstance(last, OSError | UnicodeError | LocationParseError):  # of the connection, or of the server's name
        return ""
    if begins := next((one for one in causes if isinstance(one, http.client.BadStatusLine)), None):
        return f"it does not begin as HTTP does, but with {str(begins).strip()[:100]!a}"
    if isinstance(last, http.client.UnknownProtocol):
        return f"it is in {str(last).strip()[:100]!a}; accepted: HTTP/1.1"
    if isinstance(last, http.client.IncompleteRead):
        return "it ends too early"
    if isinstance(last, http.client.HTTPException):
        return "its head is too long"
    if isinstance(last, zlib.error | DecodeError):
        return "it cannot be decompressed"
    if isinstance(last, InvalidHeader):
        return "it has several lengths"
    return "the length of one of its chunks is not a number" if isinstance(last, ValueError) else "it is not HTTP"
