"""gunicorn's threaded worker with a bounded queue.

Received requests for the model wait in one queue for a thread; when it is full, or holds too many bytes, further ones
are refused at once. Other requests, above all /ping, have spare threads.

requirements/image.in pins gunicorn, since this worker overrides methods of gunicorn's that other versions may change.
"""

import contextlib
import select
import signal
import time
from collections import deque
from pathlib import Path

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker

from classifier.serving import accesslog, refusals
from classifier.serving.arrival import Arrival
from classifier.serving.connection import Connection, Received
from classifier.serving.receiving import ReceivingWorker

# Threads for requests that are not for the model.
SPARE_THREADS = 8
# Requests that wait for a thread. A small processor answers 12 requests a second: 512 take 43 s of SageMaker's 60 s.
QUEUE = 512
QUEUE_BYTES = 256 << 20
# After SIGTERM the requests in the queue are answered for this long, and then refused.
WORK_WHEN_STOPPING_S = 20


class Worker(ReceivingWorker):
    """Answers each connection even when it is told to stop, and invalid HTTP in JSON."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.queue: deque[Connection] = deque()
        self.working = 0
        self.checked = 0.0
        self.stopping_since: float | None = None

    def init_process(self) -> None:
        # Both processes hold torch, so the kernel might kill the master if a request needs more memory than is left,
        # and the container would end without a log line. A killed worker is replaced, and the master logs why.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C reaches all processes of a terminal; the master then stops this one with SIGTERM.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def has_room(self, arrival: Arrival) -> bool:
        full = len(self.queue) >= QUEUE or self.held + arrival.size > max(QUEUE_BYTES, 2 * self.most_bytes)
        return not (arrival.is_work and full)

    def submit(self, conn: Connection) -> None:
        """Give a whole request to a thread, or to the queue for the model's threads."""
        conn.works = conn.arrival.is_work
        conn.init()
        conn.parser.unreader = Received(conn.sock, conn.arrival.data)
        if conn.works:
            self.queue.append(conn)
            self._start_work()
        else:
            self._start(conn)

    def _start_work(self) -> None:
        while self.queue and self.working < self.cfg.threads - SPARE_THREADS:
            self.working += 1
            self._start(self.queue.popleft())

    def _start(self, conn: Connection) -> None:
        ThreadWorker.enqueue_req(self, conn)  # ours would begin to receive it

    def handle(self, conn: Connection) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]: see receiving.py
        """Answer one request, in a thread."""
        accesslog.current.set(conn.trace())
        return super().handle(conn)

    def finish_request(self, conn: Connection, fs) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: the same
        self.working -= conn.works
        conn.works = False
        self.hold(conn, 0)
        self._start_work()
        reader = conn.parser.unreader
        reader.unread(reader.take_buffered())  # gunicorn looks there for a next request
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Close stalled connections; gunicorn calls this after every event, and at least once a second."""
        now = time.monotonic()
        if now - self.checked < 0.5:
            return
        self.checked = now
        self.close_stalled(now)
        if not self.alive and self.stopping_since is None:
            self.stopping_since = now
        if self.stopping_since and now - self.stopping_since > WORK_WHEN_STOPPING_S:
            while self.queue:
                self.refuse(self.queue.popleft(), refusals.FULL)

    def set_accept_enabled(self, enabled) -> None:
        """When stopping, take the connections that the kernel has already accepted, and refuse later ones.

        gunicorn would leave both in the listening socket's queue until it exits, and then reset them.
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
        if not isinstance(exc, ParseException):
            self.log.error("Error outside the application", exc_info=exc)
        status, size = refusals.send_error(client, exc)
        accesslog.log_request(accesslog.current.get(), status, size)
