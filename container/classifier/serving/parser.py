"""gunicorn's parser of requests, with what RFC 9112 asks of it besides: a Host, and trailers that are fields."""

import re
from typing import Any

from gunicorn.asgi import parser
from gunicorn.asgi.parser import InvalidHeader

# The stubs of gunicorn are of an older version.
PythonProtocol: Any = parser.PythonProtocol
# Empty where a target has none, as that of OPTIONS.
HOST = re.compile(rb"(?:[\w.~%!$&'()*+,;=-]*|\[[0-9A-Fa-fv:.]+\])(?::\d*)?", re.ASCII)


class Parser(PythonProtocol):
    """Refuses what a proxy in front of the server might read as another request."""

    def _find_line(self, limit, error) -> int:
        end = super()._find_line(limit, error)
        if self._state == "chunked" and self._chunk_state == "trailer" and end > 0:
            name, colon, value = bytes(self._buffer[:end]).partition(b":")
            if not colon or not self._is_valid_token(name) or self._has_invalid_header_chars(value):
                raise InvalidHeader("a line behind its last chunk is no field; accepted: such as X-Sum: 1")
        return end

    def _finalize_headers(self) -> None:
        hosts = [value for name, value in self._headers_list if name == b"host"]
        if not hosts and self.http_version >= (1, 1):
            raise InvalidHeader("it has no Host, without which HTTP/1.1 has no request")
        if not all(map(HOST.fullmatch, hosts)):
            raise InvalidHeader("its Host is no name; accepted: such as localhost:8080")
        super()._finalize_headers()
