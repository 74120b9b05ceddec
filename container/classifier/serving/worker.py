"""gunicorn's threaded worker, with a main thread that receives requests, and a bounded queue.

The main thread reads each request until it is whole, so that a slow client holds no thread. What is for the model
then waits in one queue for a thread; when that is full, or holds too many bytes, the request is refused at once. All
else, /ping above all, has threads of its own.
"""

import contextlib
import errno
import json
import select
import selectors
import signal
import socket
import time
from collections import deque
from functools import partial
from pathlib import Path

from gunicorn import util
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

from classifier.serving import accesslog
from classifier.serving.arrival import MOST_HEAD, Arrival
from classifier.serving.connection import Connection, Received

# Threads besides those for the model's requests.
SPARE_THREADS = 8
# What waits for a thread. A small processor answers 12 requests a second: this many take 43 of the 60 s there are.
QUEUE = 512
QUEUE_BYTES = 256 << 20
RETRY_AFTER_S = 2
# A request that is not whole by then, and one that is not when the server is told to stop.
ARRIVAL_S = 60
ARRIVAL_WHEN_STOPPING_S = 3
# From SIGTERM on, requests still in the queue are computed for this long, and then refused.
WORK_WHEN_STOPPING_S = 20
# How long a closed connection's other end may take to read the answer and to close too.
LINGER_S = 1
READ_BYTES = 256 << 10
STATUS = {LimitRequestLine: "414 URI Too Long", LimitRequestHeaders: "431 Request Header Fields Too Large"}
FULL, TOO_LARGE = "503 Service Unavailable", "413 Content Too Large"
SLOW, CUT_OFF, TINY_CHUNKS = "408 Request Timeout", "400 Bad Request", "400 Tiny Chunks"


class Worker(ThreadWorker):
    """Loses no connection when it is told to stop, and answers what is not HTTP in JSON."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.arriving: dict[Connection, None] = {}  # in the order of their first byte
        self.lingering: dict[Connection, float] = {}
        self.queue: deque[Connection] = deque()
        self.working = 0
        self.held = 0
        self.checked = 0.0
        self.stopping_since: float | None = None

    def init_process(self) -> None:
        # Both processes hold torch, so the kernel could take the master where a request needs more memory than there
        # is, and the container would end without a word. This one is replaced, and the master logs why.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C reaches all processes of a terminal; the master then stops this one by SIGTERM.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    # Receiving, in the main thread

    def accept(self, listener) -> None:
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE):
                raise
            return
        self.nr_conns += 1
        self.enqueue_req(Connection(self._linger, self.cfg, client, address, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Begin to receive a request: gunicorn calls this for new connections and for kept ones that are readable."""
        conn.arrival, conn.refusal = Arrival(), ""
        conn.sock.setblocking(False)
        self.arriving[conn] = None
        if conn.parser and (ahead := conn.parser.unreader.take_buffered()):
            self._take(conn, ahead)
        else:
            self._read(conn)

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
            self._answer(conn, CUT_OFF)
        elif conn.arrival.data and not conn.refusal:
            self._submit(conn)  # the parser says what is missing
        else:
            self._drop(conn)

    def _take(self, conn: Connection, data: bytes) -> None:
        arrival = conn.arrival
        arrival.feed(data)
        self._hold(conn, len(arrival.data))
        if not arrival.is_refused and (status := self._refused(arrival)):
            conn.refusal = status
            arrival.refuse()
            self._hold(conn, 0)
        if arrival.is_whole and not conn.refusal and arrival.has_tiny_chunks:
            conn.refusal = TINY_CHUNKS
        if conn.refusal and (arrival.is_whole or arrival.is_endless):
            self._answer(conn, conn.refusal)
        elif arrival.is_whole:
            self._submit(conn)
        else:
            if arrival.expects_continue and not conn.refusal:
                arrival.expects_continue = False
                util.write_nonblock(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
            self._watch(conn)

    def _refused(self, arrival: Arrival) -> str:
        """Why this request is not received further; empty where it is."""
        most = self.app.contract.max_payload_mb << 20
        if arrival.size > most + MOST_HEAD + (most // 4 if arrival.is_chunked else 0):
            return TOO_LARGE
        full = len(self.queue) >= QUEUE or self.held + arrival.size > max(QUEUE_BYTES, 2 * most)
        return FULL if arrival.is_work and full else ""

    def _hold(self, conn: Connection, size: int) -> None:
        self.held += size - conn.held
        conn.held = size

    def _watch(self, conn: Connection) -> None:
        if not conn.watched:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))
            conn.watched = True

    def _release(self, conn: Connection) -> None:
        """End the receiving on this connection."""
        self.arriving.pop(conn, None)
        if conn.watched:
            self.poller.unregister(conn.sock)
            conn.watched = False

    # The queue

    def _submit(self, conn: Connection) -> None:
        """Give a whole request to a thread, or to the queue for one."""
        self._release(conn)
        conn.works = conn.arrival.is_work
        conn.init()
        conn.parser.unreader = Received(conn.sock, conn.arrival.data)
        if conn.works:
            self.queue.append(conn)
            self._start_work()
        else:
            super().enqueue_req(conn)

    def _start_work(self) -> None:
        while self.queue and self.working < self.cfg.threads - SPARE_THREADS:
            self.working += 1
            super().enqueue_req(self.queue.popleft())

    def handle(self, conn: Connection) -> bool:
        """Answer one request, in a thread."""
        accesslog.current.set(conn.trace())
        return super().handle(conn)

    def finish_request(self, conn: Connection, result) -> None:
        self.working -= conn.works
        conn.works = False
        self._hold(conn, 0)
        self._start_work()
        reader = conn.parser.unreader
        reader.unread(reader.take_buffered())  # where gunicorn looks for a next request that is here already
        super().finish_request(conn, result)

    # Refusals and time-outs, in the main thread

    def murder_pending(self) -> None:
        """Close what has stalled; gunicorn calls this after every event, and at least once a second."""
        now = time.monotonic()
        if now - self.checked < 0.5:
            return
        self.checked = now
        if not self.alive and self.stopping_since is None:
            self.stopping_since = now
        self._close_stalled(now - (ARRIVAL_S if self.alive else ARRIVAL_WHEN_STOPPING_S))
        for conn in [conn for conn, since in self.lingering.items() if now - since > LINGER_S]:
            self._drop(conn)
        if self.stopping_since and now - self.stopping_since > WORK_WHEN_STOPPING_S:
            while self.queue:
                self._answer(self.queue.popleft(), FULL)

    def _close_stalled(self, before: float) -> None:
        """End what began to arrive at a time before this, and the oldest where there is room for no more."""
        excess = self.nr_conns - self.worker_connections
        for i, conn in enumerate(list(self.arriving)):
            if conn.arrival.start < before or i <= excess:
                self._answer(conn, conn.refusal or SLOW) if conn.arrival.received else self._drop(conn)

    def _answer(self, conn: Connection, status: str) -> None:
        """Refuse the request that was to be received, and close the connection when the client has read why."""
        self._release(conn)
        self._hold(conn, 0)
        most = self.app.contract.max_payload_mb
        sentences = {
            FULL: "the server has as many requests as it can answer in time; try again later",
            TOO_LARGE: f"the request body is larger than {most} MB, the most that is accepted",
            SLOW: "the request did not arrive in time",
            TINY_CHUNKS: "the request body comes in too many chunks; accepted: chunks of 1 kB and more",
            CUT_OFF: "the request body is shorter than its Content-Length",
        }
        size = _write_error(conn.sock, status, sentences[status])
        accesslog.write(conn.trace(), int(status[:3]), size)
        self.nr_conns -= 1
        self._linger(conn)

    def _linger(self, conn: Connection) -> None:
        """Close the connection, which no longer counts, once the other end has closed or a second has passed."""
        self.nr_conns += 1
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
        self._hold(conn, 0)
        self.lingering.pop(conn, None)
        self.nr_conns -= 1
        conn.close()

    # gunicorn's habits, changed

    def set_accept_enabled(self, enabled: bool) -> None:
        """When stopping, take what the kernel has already accepted for us, and refuse what comes later.

        gunicorn leaves both in the listening socket's queue until it exits and then resets them.
        """
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            while ready := select.select(self.sockets, [], [], 0)[0]:
                for listener in ready:
                    self.accept(listener)
            for listener in self.sockets:
                listener.close()

    def handle_error(self, req, client, addr, exc) -> None:
        """Answer a request that gunicorn could not parse; gunicorn's own answer is an HTML page."""
        if isinstance(exc, ParseException):
            status, sentence = STATUS.get(type(exc), "400 Bad Request"), f"not a valid HTTP request: {exc}"
        else:
            self.log.error("Error outside the application", exc_info=exc)
            status, sentence = "500 Internal Server Error", "the server failed on this request; its log says why"
        size = _write_error(client, status, sentence)
        accesslog.write(accesslog.current.get(), int(status[:3]), size)


def _write_error(client: socket.socket, status: str, sentence: str) -> int:
    """Send an answer that the application has no part in; its length in bytes."""
    body = json.dumps({"error": sentence}) + "\n"
    retry = f"Retry-After: {RETRY_AFTER_S}\r\n" if status == FULL else ""
    headers = f"Connection: close\r\nContent-Type: application/json\r\n{retry}Content-Length: {len(body)}"
    with contextlib.suppress(OSError):
        util.write_nonblock(client, f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}".encode())
    return len(body)
