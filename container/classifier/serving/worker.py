"""gunicorn's threaded worker with a bounded queue.

What is for the model waits, once received, in one queue for a thread; when that is full, or holds too many bytes, the
request is refused at once. All else, /ping above all, has threads of its own.
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

# Threads besides those for the model's requests.
SPARE_THREADS = 8
# What waits for a thread. A small processor answers 12 requests a second: this many take 43 of the 60 s there are.
QUEUE = 512
QUEUE_BYTES = 256 << 20
# From SIGTERM on, requests still in the queue are computed for this long, and then refused.
WORK_WHEN_STOPPING_S = 20


class Worker(ReceivingWorker):
    """Loses no connection when it is told to stop, and answers what is not HTTP in JSON."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.queue: deque[Connection] = deque()
        self.working = 0
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

    def has_room(self, arrival: Arrival) -> bool:
        full = len(self.queue) >= QUEUE or self.held + arrival.size > max(QUEUE_BYTES, 2 * self.most_bytes)
        return not (arrival.is_work and full)

    def submit(self, conn: Connection) -> None:
        """Give a whole request to a thread, or to the queue for one."""
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
        ThreadWorker.enqueue_req(self, conn)  # which here would begin to receive it

    def handle(self, conn: Connection) -> bool:
        """Answer one request, in a thread."""
        accesslog.current.set(conn.trace())
        return super().handle(conn)

    def finish_request(self, conn: Connection, result) -> None:
        self.working -= conn.works
        conn.works = False
        self.hold(conn, 0)
        self._start_work()
        reader = conn.parser.unreader
        reader.unread(reader.take_buffered())  # where gunicorn looks for a next request that is here already
        super().finish_request(conn, result)

    def murder_pending(self) -> None:
        """Close what has stalled; gunicorn calls this after every event, and at least once a second."""
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
        if not isinstance(exc, ParseException):
            self.log.error("Error outside the application", exc_info=exc)
        status, size = refusals.explain(client, exc)
        accesslog.write(accesslog.current.get(), status, size)
