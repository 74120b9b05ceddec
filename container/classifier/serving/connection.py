"""A client's connection to gunicorn's threaded worker, and the source from which the parser reads its requests."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

from classifier.serving import accesslog
from classifier.serving.arrival import Arrival

STALLED_S = 5
# The parser gets at least and at most this much at a time.
PIECE_BYTES = 1 << 10, 64 << 10


class Received(SocketUnreader):
    """Gives gunicorn's parser a received request and then, if it wants more, bytes from the socket.

    It gives small pieces, as a socket does: the parser repeatedly copies what it has read and not used yet.
    """

    def __init__(self, client: socket.socket, data: bytearray):
        super().__init__(client)
        self.data, self.position = memoryview(data), 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        if self.position == len(self.data):
            return super().chunk(size_hint)  # pyright: ignore[reportCallIssue]: its stubs are of an older gunicorn
        start = self.position
        least, most = PIECE_BYTES
        self.position = min(len(self.data), start + max(least, min(size_hint or 0, most)))
        return bytes(self.data[start : self.position])

    def take_buffered(self) -> bytes:
        """Return what the parser has not used: the next request, if the client does not wait for answers."""
        rest = super().take_buffered()  # pyright: ignore[reportAttributeAccessIssue]: the same
        rest += bytes(self.data[self.position :])
        self.position = len(self.data)
        return rest


class Connection(TConn):
    """A client's connection and the request that is arriving on it."""

    parser: Any  # gunicorn's for HTTP/1; its stubs also have HTTP/2's, which reads in another way

    def __init__(self, linger: Callable[["Connection"], None], *arguments):
        super().__init__(*arguments)
        self.arrival = Arrival()
        self.refusal = ""
        self.watched = False
        # Its share of the worker's `held` bytes, and whether a thread runs the model for it.
        self.held = 0
        self.works = False
        self.linger = linger
        # A thread's reads and writes fail after this, for example for a request that only claims to be whole.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALLED_S, 0))

    def trace(self) -> accesslog.Trace:
        return accesslog.Trace(self.arrival.start, self.arrival.received)

    def close(self, graceful: bool = False) -> None:
        """Close at once or, if `graceful`, by `linger`: gunicorn would block until the client has read the answer."""
        self.linger(self) if graceful else super().close()
