"""The serving processes: gunicorn's master, which binds the port, and the workers that it forks and replaces."""

import os
import socket
from collections.abc import Sequence

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.serving.exits import exit_now
from classifier.serving.fronts import Fronts, Seat
from classifier.serving.settings import SETTINGS
from classifier.serving.share import MOST_CONNECTIONS, Share
from classifier.serving.slots import Slots
from classifier.serving.worker import BACKLOG, Worker

# Workers in turn that may end before they have loaded the model.
STARTS = 3


class Master(Arbiter):
    """gunicorn's master process, which on Ctrl-C finishes the accepted requests, as on SIGTERM.

    The end of its terminal is no reason to load everything again, and the number of workers stays as planned.
    """

    handle_int = handle_hup = Arbiter.handle_term

    def handle_ttin(self) -> None:
        """Ignore the wish for one more worker."""

    handle_ttou = handle_ttin


class Processes(BaseApplication):
    """The gunicorn application; a subclass has load(), which returns what a worker serves."""

    def __init__(self, contract: Contract, listener: int, share: Share, slots: Sequence[Slots] = ()):
        """Serve on the socket `listener`; for each of `slots` one process more has a model of its own, behind them."""
        self.contract, self.listener, self.share, self.slots = contract, listener, share, slots
        self.fronts = Fronts(share.fronts)
        self.owners = [Seat(self.fronts) for _ in slots]
        self.seat: Seat  # of the worker that is forked next and, in a worker, its own
        self.starts_left = STARTS
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

    def _before_fork(self, arbiter: Arbiter, worker: Worker) -> None:
        vacant = next((seat for seat in self.owners if not seat.is_taken), None)
        if vacant:
            vacant.enter()
        self.seat = vacant or self.fronts.take()
        worker.seat = self.seat

    def _after_exit(self, arbiter: Arbiter, worker: Worker) -> None:
        # gunicorn replaces a worker that was killed, for example because memory ran out. If that happens again and
        # again while workers load the model, it does so for ever. Without listeners the master is stopping anyway.
        self.starts_left = STARTS if worker.seat.is_ready else self.starts_left - 1
        worker.seat.leave()
        is_owner = worker.seat in self.owners
        if is_owner:
            self.slots[self.owners.index(worker.seat)].end()
        if arbiter.LISTENERS and self.starts_left <= 0 and (is_owner or not self.fronts.has_ready):
            raise HaltServer(f"{STARTS} workers ended before their model was loaded", Arbiter.WORKER_BOOT_ERROR)


def bind(port: int) -> int:
    """Return the file descriptor of a socket on `port`; gunicorn itself would take 5 s and ten lines to fail."""
    try:
        return socket.create_server(("0.0.0.0", port), backlog=BACKLOG).detach()
    except OSError as error:
        raise UserError(
            f"port {port}: {os.strerror(error.errno or 0)}; SAGEMAKER_BIND_TO_PORT chooses another"
        ) from error
