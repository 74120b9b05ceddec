"""The receiving half of the worker: its main thread reads each request until it is whole, so that a slow client
occupies no thread."""

import contextlib
import errno
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

from classifier.serving import accesslog, refusals
from classifier.serving.arrival import MOST_HEAD, Arrival
from classifier.serving.connection import Connection

# The time in which a request must be whole, and the same once the server is stopping.
ARRIVAL_S = 60
ARRIVAL_WHEN_STOPPING_S = 3
# How long the client may take to read the answer and to close its end after we have closed ours.
LINGER_S = 1
READ_BYTES = 256 << 10


class ReceivingWorker(ThreadWorker):
    """Receives requests and gives each to submit() when it is whole."""

    app: Any  # server.Server, whose contract it reads

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.arriving: dict[Connection, None] = {}  # in the order of their first byte
        self.lingering: dict[Connection, float] = {}
        self.held = 0

    @property
    def most_bytes(self) -> int:
        """The largest accepted body in bytes."""
        return self.app.contract.max_payload_mb << 20

    def submit(self, conn: Connection) -> None:
        """Answer the connection's request, which is whole."""
        raise NotImplementedError

    def has_room(self, arrival: Arrival) -> bool:
        """Return whether there is room for this request, of which only the head may be known."""
        raise NotImplementedError

    def accept(self, listener) -> None:
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE):
                raise
            return
        self.nr_conns += 1
        self.enqueue_req(Connection(self._linger, self.cfg, client, address, listener.getsockname()))

    # gunicorn's stubs do not know that accept() makes every connection, and that all are ours.
    def enqueue_req(self, conn: Connection) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begin to receive a request; gunicorn calls this for a kept connection that has become readable."""
        conn.arrival, conn.refusal = Arrival(), ""
        conn.sock.setblocking(False)
        self.arriving[conn] = None
        if conn.parser and (ahead := conn.parser.unreader.take_buffered()):
            self._take(conn, ahead)
        else:
            self._read(conn)

    def hold(self, conn: Connection, size: int) -> None:
        """Record that the connection's request occupies `size` bytes."""
        self.held += size - conn.held
        conn.held = size

    def refuse(self, conn: Connection, status: str) -> None:
        """Refuse the request that is arriving, and close the connection when the client has read the answer."""
        self._release(conn)
        self.hold(conn, 0)
        size = refusals.send_refusal(conn.sock, status, self.app.contract.max_payload_mb)
        accesslog.log_request(conn.trace(), int(status[:3]), size)
        self.nr_conns -= 1
        self._linger(conn)

    def close_stalled(self, now: float) -> None:
        """End requests that have been arriving too long, the oldest if there are too many, and whatever lingers."""
        before = now - (ARRIVAL_S if self.alive else ARRIVAL_WHEN_STOPPING_S)
        excess = self.nr_conns - self.worker_connections
        for i, conn in enumerate(list(self.arriving)):
            if conn.arrival.start < before or i <= excess:
                self.refuse(conn, conn.refusal or refusals.SLOW) if conn.arrival.received else self._drop(conn)
        for conn in [conn for conn, since in self.lingering.items() if now - since > LINGER_S]:
            self._drop(conn)

    def _read(self, conn: Connection, _socket: object = None) -> None:
        try:
            data = conn.sock.recv(READ_BYTES)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data is None:
            self._watch(conn)
        elif data:
            self._take(conn, data)
        elif conn.arrival.has_head and not conn.arrival.is_chunked and not conn.refusal:
            self.refuse(conn, refusals.CUT_OFF)
        elif conn.arrival.data and not conn.refusal:
            self._end(conn)  # the parser says what is missing
        else:
            self._drop(conn)

    def _take(self, conn: Connection, data: bytes) -> None:
        arrival = conn.arrival
        arrival.feed(data)
        self.hold(conn, len(arrival.data))
        if not arrival.is_refused and (status := self._refused(arrival)):
            conn.refusal = status
            arrival.refuse()
            self.hold(conn, 0)
        if arrival.is_whole and not conn.refusal and arrival.has_tiny_chunks:
            conn.refusal = refusals.TINY_CHUNKS
        if conn.refusal and (arrival.is_whole or arrival.is_endless):
            self.refuse(conn, conn.refusal)
        elif arrival.is_whole:
            self._end(conn)
        else:
            if arrival.expects_continue and not conn.refusal:
                arrival.expects_continue = False
                util.write_nonblock(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
            self._watch(conn)

    def _refused(self, arrival: Arrival) -> str:
        """Return the status with which to refuse this request, or "" to go on receiving it."""
        if arrival.size > self.most_bytes + MOST_HEAD + (self.most_bytes // 4 if arrival.is_chunked else 0):
            return refusals.TOO_LARGE
        return "" if self.has_room(arrival) else refusals.FULL

    def _end(self, conn: Connection) -> None:
        self._release(conn)
        self.submit(conn)

    def _watch(self, conn: Connection) -> None:
        if not conn.watched:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))
            conn.watched = True

    def _release(self, conn: Connection) -> None:
        """Stop receiving on the connection."""
        self.arriving.pop(conn, None)
        if conn.watched:
            self.poller.unregister(conn.sock)
            conn.watched = False

    def _linger(self, conn: Connection) -> None:
        """Close our end now, and the connection when the client has closed its end or LINGER_S has passed."""
        self.nr_conns += 1  # until _drop: gunicorn and refuse() have subtracted it already
        with contextlib.suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
        conn.sock.setblocking(False)
        self.lingering[conn] = time.monotonic()
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))
        conn.watched = True

    def _discard(self, conn: Connection, _socket: object) -> None:
        with contextlib.suppress(OSError):
            if conn.sock.recv(READ_BYTES):
                return
        self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self._release(conn)
        self.hold(conn, 0)
        self.lingering.pop(conn, None)
        self.nr_conns -= 1
        conn.close()
