"""A client's connection to gunicorn's threaded worker, and where the parser reads a request that was received."""

import socket
import struct
from collections.abc import Callable

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

from classifier.serving import accesslog
from classifier.serving.arrival import Arrival

STALLED_S = 5
# The least and the most that the parser gets at once.
PIECE_BYTES = 1 << 10, 64 << 10


class Received(SocketUnreader):
    """Where gunicorn's parser reads from: a request that was received, and the socket where the parser wants more.

    In small pieces, as a socket's: what the parser has read and not used yet, it copies again and again.
    """

    def __init__(self, client: socket.socket, data: bytearray):
        super().__init__(client)
        self.data, self.position = memoryview(data), 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        if self.position == len(self.data):
            return super().chunk(size_hint)
        start = self.position
        least, most = PIECE_BYTES
        self.position = min(len(self.data), start + max(least, min(size_hint or 0, most)))
        return bytes(self.data[start : self.position])

    def take_buffered(self) -> bytes:
        """What the parser has not used: the next request, where the client does not wait for answers."""
        rest = super().take_buffered() + bytes(self.data[self.position :])
        self.position = len(self.data)
        return rest


class Connection(TConn):
    """A client's connection and the request that is arriving on it."""

    def __init__(self, linger: Callable, *arguments):
        super().__init__(*arguments)
        self.arrival = Arrival()
        self.refusal = ""
        self.watched = False
        # Bytes of the worker's that it holds, and whether a thread works on it for the model.
        self.held = 0
        self.works = False
        self.linger = linger
        # No read or write of a thread may take longer, such as one of a request that is whole by a false claim.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALLED_S, 0))

    def trace(self) -> accesslog.Trace:
        return accesslog.Trace(self.arrival.start, self.arrival.received)

    def close(self, graceful: bool = False) -> None:
        """Close at once, or, gracefully, when the other end has read what was sent: gunicorn would wait for that."""
        self.linger(self) if graceful else super().close()
