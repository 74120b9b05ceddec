"""A server of one model, and its loading while /ping already answers.

The master checks the artifact and binds the port. Each worker loads the model after the fork, which neither CUDA nor an
engine's threads would survive.
"""

import importlib
import logging
import os
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from classifier import artifact, images, machine, memory
from classifier.activation_maps import ActivationMaps
from classifier.artifact import Artifact
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.serving import accesslog
from classifier.serving.app import create_app
from classifier.serving.exits import end_owner, exit_worker, stop_worker
from classifier.serving.front import Front
from classifier.serving.misspelt import warn_of_misspelt
from classifier.serving.model import Model, model_of, name, open_maps
from classifier.serving.owner import Owner
from classifier.serving.pools import exit_without_threads
from classifier.serving.predictor import load_predictor
from classifier.serving.processes import Processes, bind
from classifier.serving.remote_models import RemoteModels
from classifier.serving.renamed import warn_of_renamed
from classifier.serving.settings import LOG_FORMAT
from classifier.serving.share import Share, choose_share
from classifier.serving.slots import Slots
from classifier.words import plural, printable

log = logging.getLogger(__name__)


class Server(Processes):
    """The gunicorn application for one artifact."""

    def __init__(self, contract: Contract, folder: Path, description: Artifact, listener: int, share: Share):
        self.folder, self.description = folder, description
        # Once for all: a process that is started later must not get another's, as it would if a GPU were gone by then.
        self.gpus = machine.list_gpus()
        slots = Slots.of_each(share.owners, share.fronts, description.image_size, description.row_width)
        super().__init__(contract, listener, share, slots)

    def load(self) -> Any:
        """Return the ASGI application, or None in the model's own process; gunicorn calls this in each worker."""
        memory.share_heaps()
        model: Future[Model] = Future()
        front = None
        if self.seat not in self.owners:
            application = create_app(model, self.contract.max_payload_mb, self.share)
            front = Front(application, self.contract.max_payload_mb, self.share)  # its threads first, then an engine's
        if front and self.owners:
            images.warm_up()
            model.set_result(self._remote_model())
            self.seat.be_ready()
        else:
            threading.Thread(target=self._load_model, args=(model,), name="load").start()
        return front

    def _load_model(self, result: Future) -> None:
        start, where = time.monotonic(), self._choose_gpu() if self.owners else ""
        try:
            predictor = load_predictor(self.folder, self.description, self.contract.precision, self.share.cores)
            images.warm_up()
            if self.owners:
                loaded = model_of(predictor, end_owner)
                Owner(self.slots[self.owners.index(self.seat)], loaded.submit, loaded.check)
            else:
                loaded = model_of(predictor, stop_worker, self._open_maps(predictor.precision))
        except UserError as error:
            exit_worker(f"serve: {where}{error}")
        except MemoryError:
            exit_worker(f"serve: there is too little memory for the model in {self.folder}; ulimit -v is one limit")
        except Exception as error:
            exit_without_threads(error)
            log.exception("loading the model failed")
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            exit_worker(f"serve: {where}the model in {self.folder} could not be loaded: {reason}")
        else:
            result.set_result(loaded)
            self.seat.be_ready()
            log.info(
                "%sready after %.1f s: device %s, precision %s, %s",
                *(where, time.monotonic() - start, predictor.device, predictor.precision),
                plural(self.share.cores, "core"),
            )

    def _choose_gpu(self) -> str:
        """Let this process see its own GPU alone, before torch looks for any, and return which, if there are several.

        It is named as CUDA_VISIBLE_DEVICES names it.
        """
        if not self.gpus:  # there are only in tests
            return ""
        chosen = self.gpus[self.owners.index(self.seat)]
        os.environ[machine.CHOSEN_GPUS] = chosen
        return f"GPU {printable(chosen)}: " if len(self.gpus) > 1 else ""

    def _remote_model(self) -> Model:
        about, remote = self.description, RemoteModels(self.slots, self.fronts.seats.index(self.seat))
        words = f"{about.architecture} in a process of its own"
        return Model(
            *(words, about.classes, about.image_size, remote.submit, self._open_maps("fp32"), remote.is_ready),
            named=name(about),
        )

    def _open_maps(self, precision: str) -> ActivationMaps:
        return open_maps(self.folder, self.description, precision, self.share.cores)


def run(contract: Contract) -> None:
    """Serve until SIGTERM, then exit. Raises UserError if the artifact, the port or a variable is at fault."""
    contract.check_serving()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    warn_of_misspelt(contract.environ)
    accesslog.log.setLevel(logging.INFO if contract.access_log else logging.WARNING)
    if contract.multi_model:
        from classifier.serving.multi_server import run_multi  # with the engine, which one model loads in the worker

        run_multi(contract)
    folder = artifact.locate(contract.model)
    share = choose_share(contract.fronts)
    description = _read_artifact(folder, share)
    _log_start(contract, folder, description, share)
    warn_of_renamed(folder, description)
    Server(contract, folder, description, bind(contract.port), share).run()


def _read_artifact(folder: Path, share: Share) -> Artifact:
    """Read and check the artifact, and meanwhile import the engine, if the workers are to have one: 0.2 s for each."""
    try:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(artifact.read, folder)
            if not share.owners:
                importlib.import_module("classifier.engine")
            return reading.result()
    except RuntimeError as error:
        exit_without_threads(error)
        raise


def _log_start(contract: Contract, folder: Path, description: Artifact, share: Share) -> None:
    if folder != contract.model:
        log.warning("the artifact is one folder too deep, in %s; using it", folder)
    files = ", ".join(f"{printable(path.name)} ({_size_of(path)})" for path in sorted(folder.iterdir()))
    names = printable(", ".join(description.classes[:5])) + (", ..." if len(description.classes) > 5 else "")
    log.info("model folder %s: %s", folder, files)
    log.info(
        "%s with %s (%s), images of %d px",
        *(description.architecture, plural(len(description.classes), "class"), names, description.image_size),
    )
    log.info(
        "port %d, processes: %d, each with %s and %s, precision %s, bodies up to %d MB",
        *(contract.port, share.fronts, plural(share.cores, "core"), plural(share.threads, "thread")),
        *(contract.precision, contract.max_payload_mb),
    )


def _size_of(path: Path) -> str:
    """Say what is in the artifact's folder, whatever it is: only files of the artifact have been read."""
    try:
        return "a folder" if path.is_dir() else plural(path.stat().st_size, "byte")
    except OSError as error:  # a link to nothing, for example
        return error.strerror or type(error).__name__
