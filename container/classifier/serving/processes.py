"""The serving processes: gunicorn's master, which binds the port, and the workers that it forks and replaces."""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.headroom import count_kills
from classifier.serving.exits import exit_now
from classifier.serving.fronts import Fronts, Seat
from classifier.serving.settings import SETTINGS
from classifier.serving.share import MOST_CONNECTIONS, Share
from classifier.serving.slots import Slots
from classifier.serving.worker import BACKLOG, Worker
from classifier.words import plural

log = logging.getLogger(__name__)

# Workers in turn that may end before they have loaded the model.
STARTS = 3


class Master(Arbiter):
    """gunicorn's master process, which on Ctrl-C finishes the accepted requests, as on SIGTERM.

    The end of its terminal is no reason to load everything again, and the number of workers stays as planned.
    """

    app: Any  # Processes, in which gunicorn sees a BaseApplication
    handle_int = handle_hup = Arbiter.handle_term

    def handle_ttin(self) -> None:
        """Ignore the wish for one more worker."""

    handle_ttou = handle_ttin

    def spawn_worker(self) -> int:
        """Start a process and return its number; if the machine allows no more, say so, and return 0.

        It is tried again a few times.
        """
        seat = self.app.take_seat()
        try:
            return super().spawn_worker()
        except OSError as error:
            log.error("no process can be started: %s; docker's --pids-limit is one limit", error.strerror)
            self.app.vacate(seat)
            return 0

    def reap_workers(self) -> None:
        """Note which processes have ended; those that fail to start while the server stops are no reason for it."""
        try:
            super().reap_workers()
        except HaltServer:
            if self.LISTENERS:
                raise


class Processes(BaseApplication):
    """The gunicorn application; a subclass has load(), which returns what a worker serves."""

    def __init__(self, contract: Contract, listener: int, share: Share, slots: Sequence[Slots] = ()):
        """Serve on the socket `listener`; for each of `slots` one process more has a model of its own, behind them."""
        self.contract, self.listener, self.share, self.slots = contract, listener, share, slots
        self.fronts = Fronts(share.fronts)
        self.owners = [Seat(self.fronts) for _ in slots]
        self.seat: Seat  # of the worker that is forked next and, in a worker, its own
        self.starts_left, self.kills = STARTS, count_kills()
        super().__init__()

    def load_config(self) -> None:
        settings = SETTINGS | {
            "bind": f"fd://{self.listener}",
            "workers": self.share.fronts + len(self.owners),
            # Connections occupy no thread. Beyond this number, those that have kept the server waiting longest are
            # closed.
            "worker_connections": self.share.of(MOST_CONNECTIONS),
            "pre_fork": self._before_fork,
            "child_exit": self._after_exit,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Run the master, and in the forked process the worker, to its end. Never returns."""
        try:
            Master(self).run()
        except SystemExit as end:
            # Every request is answered. Unloading an engine in order would take seconds of the 30 before SIGKILL.
            exit_now(int(end.code or 0))

    def take_seat(self) -> Seat:
        """Return the seat of the process that is started next."""
        vacant = next((seat for seat in self.owners if not seat.is_taken), None)
        if vacant:
            vacant.enter()
        self.seat = vacant or self.fronts.take()
        return self.seat

    def vacate(self, seat: Seat) -> None:
        """Give the seat of a process back that has ended or did not start. Raises HaltServer if that happens for ever.

        gunicorn replaces a process that was killed, for example because memory ran out, also if that happens again and
        again while the model is loaded.
        """
        self.starts_left = STARTS if seat.is_ready else self.starts_left - 1
        seat.leave()
        is_owner = seat in self.owners
        if is_owner:
            self.slots[self.owners.index(seat)].end()
        if self.starts_left <= 0 and (is_owner or not self.fronts.has_ready):
            killed = count_kills() - self.kills
            reason = f"; the kernel killed {plural(killed, 'process')}, for memory was at its limit" if killed else ""
            raise HaltServer(f"{STARTS} workers ended before their model was loaded{reason}", Arbiter.WORKER_BOOT_ERROR)

    def _before_fork(self, arbiter: Arbiter, worker: Worker) -> None:
        worker.seat = self.seat

    def _after_exit(self, arbiter: Arbiter, worker: Worker) -> None:
        self.vacate(worker.seat)


def bind(port: int) -> int:
    """Return the file descriptor of a socket on `port`; gunicorn itself would take 5 s and ten lines to fail."""
    try:
        return socket.create_server(("0.0.0.0", port), backlog=BACKLOG).detach()
    except OSError as error:
        raise UserError(
            f"port {port}: {os.strerror(error.errno or 0)}; SAGEMAKER_BIND_TO_PORT chooses another"
        ) from error
