"""The serving processes: their start, and the loading of the model while /ping already answers.

The master checks the artifact and binds the port. Each worker loads the model after the fork, which neither CUDA nor an
engine's threads would survive.
"""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from classifier import artifact, images, machine, memory
from classifier.artifact import Artifact
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.serving import accesslog
from classifier.serving.app import Model, create_app
from classifier.serving.batcher import Batcher
from classifier.serving.exits import end_owner, exit_now, exit_worker, stop_worker
from classifier.serving.front import Front
from classifier.serving.fronts import Fronts, Seat
from classifier.serving.owner import Owner
from classifier.serving.predictor import Predictor, load_predictor
from classifier.serving.remote import RemoteModels
from classifier.serving.settings import LOG_FORMAT, SETTINGS
from classifier.serving.share import MOST_CONNECTIONS, Share, choose_share
from classifier.serving.slots import Slots
from classifier.serving.worker import BACKLOG, Worker

log = logging.getLogger(__name__)

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


class Server(BaseApplication):
    """The gunicorn application for one artifact."""

    def __init__(self, contract: Contract, folder: Path, description: Artifact, listener: int, share: Share):
        self.contract, self.folder, self.description, self.listener = contract, folder, description, listener
        self.share, self.fronts = share, Fronts(share.fronts)
        # A seat and slots for each process that has a model of its own.
        self.owners = [Seat(self.fronts) for _ in range(share.owners)]
        self.slots = Slots.of_each(share.owners, share.fronts, description.image_size, len(description.classes))
        self.seat: Seat  # of the worker that is forked next and, in a worker, its own
        self.starts_left = STARTS
        super().__init__()

    def load_config(self) -> None:
        settings = SETTINGS | {
            "bind": f"fd://{self.listener}",
            "workers": self.share.fronts + self.share.owners,
            # Connections occupy no thread. Beyond this number, those that have kept the server waiting longest are
            # closed.
            "worker_connections": self.share.of(MOST_CONNECTIONS),
            "pre_fork": self._before_fork,
            "child_exit": self._after_exit,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the ASGI application, or None in the model's own process; gunicorn calls this in each worker."""
        memory.share_heaps()
        model: Future[Model] = Future()
        is_owner = self.seat in self.owners
        if self.owners and not is_owner:
            images.warm_up()
            model.set_result(self._remote_model())
            self.seat.be_ready()
        else:
            threading.Thread(target=self._load_model, args=(model,), name="load").start()
        if is_owner:
            return None
        application = create_app(model, self.contract.max_payload_mb, self.share)
        return Front(application, self.contract.max_payload_mb, self.share)

    def run(self) -> None:
        """Run the master, and in the forked process the worker, to its end. Never returns."""
        try:
            Master(self).run()
        except SystemExit as end:
            # Every request is answered. Unloading an engine in order would take seconds of the 30 before SIGKILL.
            exit_now(int(end.code or 0))

    def _load_model(self, result: Future) -> None:
        start = time.monotonic()
        try:
            if self.owners:
                self._choose_gpu()
            predictor = load_predictor(self.folder, self.description, self.contract.precision, self.share.cores)
            images.warm_up()
            loaded = model_of(predictor, end_owner if self.owners else stop_worker)
            if self.owners:
                Owner(self.slots[self.owners.index(self.seat)], loaded.submit)
        except UserError as error:
            exit_worker(f"serve: {error}")
        except Exception as error:
            log.exception("loading the model failed")
            exit_worker(f"serve: the model in {self.folder} could not be loaded: {type(error).__name__}: {error}")
        else:
            result.set_result(loaded)
            self.seat.be_ready()
            log.info(
                "ready after %.1f s: device %s, precision %s, %d cores",
                *(time.monotonic() - start, predictor.device, predictor.precision, self.share.cores),
            )

    def _choose_gpu(self) -> None:
        """Let this process see its own GPU alone, before torch looks for any."""
        if gpus := machine.list_gpus():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[self.owners.index(self.seat)]

    def _remote_model(self) -> Model:
        about, remote = self.description, RemoteModels(self.slots, self.fronts.seats.index(self.seat))
        words = f"{about.architecture} in a process of its own"
        return Model(words, about.classes, about.image_size, remote.submit, remote.is_ready)

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


def model_of(predictor: Predictor, give_up: Callable[[], None] = stop_worker) -> Model:
    """Return the Model of a loaded predictor, with a batcher in front of it that gives up when all batches fail."""
    batcher = Batcher(predictor.in_lane, predictor.lanes, predictor.batch_size, give_up)
    about = predictor.artifact
    words = f"{about.architecture} on {predictor.device} in {predictor.precision}"
    return Model(words, about.classes, about.image_size, batcher.submit)


def run(contract: Contract) -> None:
    """Serve until SIGTERM, then exit. Raises UserError if the artifact, the port or a variable is at fault."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    accesslog.log.setLevel(logging.INFO if contract.access_log else logging.WARNING)
    folder = artifact.locate(contract.model)
    description = artifact.read(folder)
    share = choose_share(contract.fronts)
    _log_start(contract, folder, description, share)
    Server(contract, folder, description, _bind(contract.port), share).run()


def _bind(port: int) -> int:
    """Return the file descriptor of a socket on `port`; gunicorn itself would take 5 s and ten lines to fail."""
    try:
        return socket.create_server(("0.0.0.0", port), backlog=BACKLOG).detach()
    except OSError as error:
        raise UserError(
            f"port {port}: {os.strerror(error.errno or 0)}; SAGEMAKER_BIND_TO_PORT chooses another"
        ) from error


def _log_start(contract: Contract, folder: Path, description: Artifact, share: Share) -> None:
    if folder != contract.model:
        log.warning("the artifact is one folder too deep, in %s; using it", folder)
    files = ", ".join(f"{path.name} ({path.stat().st_size:,} bytes)" for path in sorted(folder.iterdir()))
    names = ", ".join(description.classes[:5]) + (", ..." if len(description.classes) > 5 else "")
    log.info("model folder %s: %s", folder, files)
    log.info(
        "%s with %d classes (%s), images of %d px",
        *(description.architecture, len(description.classes), names, description.image_size),
    )
    log.info(
        "port %d, processes: %d, each with %d cores and %d threads, precision %s, bodies up to %d MB",
        *(contract.port, share.fronts, share.cores, share.threads, contract.precision, contract.max_payload_mb),
    )
