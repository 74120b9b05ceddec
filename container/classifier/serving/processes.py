"""The serving processes: gunicorn's master, which binds the port, and the workers that it forks and replaces."""

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from classifier import streams
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.headroom import count_kills
from classifier.serving.fronts import Fronts, Seat
from classifier.serving.settings import SETTINGS
from classifier.serving.share import MOST_CONNECTIONS, Share
from classifier.serving.slots import Slots
from classifier.serving.worker import BACKLOG, Worker
from classifier.words import plural

log = logging.getLogger(__name__)

# Workers in turn that may end before they have loaded the model, if no other has it.
STARTS = 3
# The master looks for processes that hang each second. If it did not for so long, it hung itself.
PAUSED_S = 5
# As long as others answer, such starts go on for ever, with pauses that double up to this one.
LONGEST_PAUSE_S = 60


class Master(Arbiter):
    """gunicorn's master, which finishes the accepted requests on Ctrl-C and at its terminal's end, as on SIGTERM.

    It stays the only master, and the number of workers as planned.
    """

    app: Any  # Processes, in which gunicorn sees a BaseApplication
    handle_int = handle_hup = Arbiter.handle_term

    def __init__(self, app: Any):
        super().__init__(app)
        self.last_check = self.awake_since = time.monotonic()

    def init_signals(self) -> None:
        """Outlive the terminal if whoever started the server said so, as nohup does."""
        outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        if outlives:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_ttin(self) -> None:
        """Ignore the wish for one more worker."""

    handle_ttou = handle_usr2 = handle_ttin

    def murder_workers(self) -> None:
        """Replace the processes that hang; but not because all stood still, as in a container that was paused."""
        now = time.monotonic()
        if now > self.last_check + PAUSED_S:
            self.awake_since = now
        self.last_check = now
        if now > self.awake_since + PAUSED_S:
            super().murder_workers()

    def spawn_workers(self) -> None:
        """Start the processes that are missing, unless it is too early to try again."""
        if self.app.may_start:
            super().spawn_workers()

    def spawn_worker(self) -> int:
        """Start a process and return its number; if the machine allows no more, say so, and return 0.

        It is tried again a few times.
        """
        seat = self.app.take_seat()
        try:
            return super().spawn_worker()
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            hint = "; docker's --pids-limit is one limit" if isinstance(error, BlockingIOError) else ""
            log.error("no process can be started: %s%s%s", where, error.strerror, hint)
            self.app.vacate(seat)
            self.app.plan_next_start()
            return 0

    def reap_workers(self) -> None:
        """Note which processes have ended; one that cannot start stops the server only if no other answers.

        Those that fail to start while the server stops are no reason for it.
        """
        before: dict[int, Any] = dict(self.WORKERS)
        halt = None
        try:
            super().reap_workers()
        except HaltServer as error:  # it has noted one that could not start, and perhaps not all others
            halt = error
        ended = [before[number] for number in before.keys() - self.WORKERS.keys()]
        for worker in ended:
            worker.tmp.close()
            self.app.vacate(worker.seat)
        if halt:
            self.reap_workers()
        if ended and self.LISTENERS:
            self.app.plan_next_start(halt)


class Processes(BaseApplication):
    """The gunicorn application; a subclass has load(), which returns what a worker serves."""

    def __init__(self, contract: Contract, listener: int, share: Share, slots: Sequence[Slots] = ()):
        """Serve on the socket `listener`; for each of `slots` one process more has a model of its own, behind them."""
        self.contract, self.listener, self.share, self.slots = contract, listener, share, slots
        self.fronts = Fronts(share.fronts)
        self.owners = [Seat(self.fronts) for _ in slots]
        self.unable: set[Seat] = set()  # the owners' whose last process ended before it had its model
        self.seat: Seat  # of the worker that is forked next and, in a worker, its own
        self.failed_starts, self.next_start = 0, 0.0
        self.kills = count_kills()
        super().__init__()

    def load_config(self) -> None:
        settings = SETTINGS | {
            "bind": f"fd://{self.listener}",
            "workers": self.share.fronts + len(self.owners),
            # Connections occupy no thread. Beyond this number, those that have kept the server waiting longest are
            # closed.
            "worker_connections": self.share.of(MOST_CONNECTIONS),
            "pre_fork": self._before_fork,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Run the master, and in the forked process the worker, to its end. Never returns."""
        try:
            Master(self).run()
        except SystemExit as end:
            # Every request is answered. Unloading an engine in order would take seconds of the 30 before SIGKILL.
            streams.exit_now(int(end.code or 0))

    def take_seat(self) -> Seat:
        """Return the seat of the process that is started next."""
        vacant = next((seat for seat in self.owners if not seat.is_taken), None)
        if vacant:
            vacant.enter()
        self.seat = vacant or self.fronts.take()
        return self.seat

    @property
    def is_answering(self) -> bool:
        """Whether requests are answered: a front is ready and, if models have processes of their own, one of those."""
        owners = [seat.is_taken and seat.is_ready for seat in self.owners]
        return self.fronts.has_ready and (not owners or any(owners))

    @property
    def is_still_loading(self) -> bool:
        """Whether a model's process that has not failed yet is loading it."""
        return any(seat.is_taken and not seat.is_ready and seat not in self.unable for seat in self.owners)

    @property
    def may_start(self) -> bool:
        """Whether a process that is missing may be started now."""
        return time.monotonic() >= self.next_start or not (self.is_answering or self.is_still_loading)

    def vacate(self, seat: Seat) -> None:
        """Give the seat of a process back that has ended or did not start."""
        self.failed_starts = 0 if seat.is_ready else self.failed_starts + 1
        if seat in self.owners:
            self.slots[self.owners.index(seat)].end()
            (self.unable.discard if seat.is_ready else self.unable.add)(seat)
        seat.leave()

    def plan_next_start(self, halt: HaltServer | None = None) -> None:
        """Choose when the process that has ended is started again.

        Raises HaltServer if no other answers, or will with the model of another GPU, and this one could not start for
        the reason `halt`, or some in turn were killed while they started, for example because memory ran out.
        """
        self.next_start = 0.0
        if self.failed_starts and (self.is_answering or self.is_still_loading):
            pause = min(2**self.failed_starts, LONGEST_PAUSE_S)
            self.next_start = time.monotonic() + pause
            others = "others answer" if self.is_answering else "another is still loading it"
            log.error("a process ended before it had its model; %s, and it is started again in %d s", others, pause)
        elif halt:
            raise halt
        elif self.failed_starts >= STARTS:
            killed = count_kills() - self.kills
            reason = f"; the kernel killed {plural(killed, 'process')}, for memory was at its limit" if killed else ""
            raise HaltServer(f"{STARTS} workers ended before their model was loaded{reason}", Arbiter.WORKER_BOOT_ERROR)

    def _before_fork(self, arbiter: Arbiter, worker: Worker) -> None:
        worker.seat = self.seat


def bind(port: int) -> int:
    """Return the file descriptor of a socket on `port`; gunicorn itself would take 5 s and ten lines to fail."""
    try:
        return socket.create_server(("0.0.0.0", port), backlog=BACKLOG).detach()
    except OSError as error:
        raise UserError(
            f"port {port}: {os.strerror(error.errno or 0)}; SAGEMAKER_BIND_TO_PORT chooses another"
        ) from error
