"""gunicorn's threaded worker, with three of its habits changed."""

import contextlib
import json
import select
import signal
from pathlib import Path

from gunicorn import util
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

STATUS = {LimitRequestLine: "414 URI Too Long", LimitRequestHeaders: "431 Request Header Fields Too Large"}


class Worker(ThreadWorker):
    """Loses no connection when it is told to stop, and answers what is not HTTP in JSON."""

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
        body = json.dumps({"error": sentence})
        headers = f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        util.write_nonblock(client, f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}".encode())
