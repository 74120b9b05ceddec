"""The process that has many models, and the line in which their loads wait.

One process has them all, each once: several would need the memory of each model several times, and would have to agree
on what is loaded.
"""

import logging
import re
import threading
from typing import Any

from flask import Flask

from classifier import images, machine, memory
from classifier.contract import Contract
from classifier.headroom import free_memory
from classifier.serving.exits import exit_worker
from classifier.serving.front import Front, Line
from classifier.serving.journal import Journal
from classifier.serving.models import Models
from classifier.serving.multi import create_app
from classifier.serving.pools import exit_without_threads, start_pool
from classifier.serving.processes import Processes, bind
from classifier.serving.room import Room
from classifier.serving.share import Share, choose_share
from classifier.words import plural

log = logging.getLogger(__name__)

INVOKE = re.compile("/models/[^/]+/invoke")
# Loads and unloads at a time, and how many more may wait.
LOADS, MOST_WAITING = 4, 256
# The rest is for images and bodies.
SHARE_OF_MEMORY = 2 / 3


class MultiFront(Front):
    """Lets loads wait in a line of their own, so that they keep neither invocations nor /ping from their threads."""

    def __init__(self, application: Flask, most_mb: int, share: Share):
        super().__init__(application, most_mb, share)
        room = Room(LOADS, MOST_WAITING, 2 * self.most_bytes)
        self.loads = Line(room, start_pool(LOADS, "load"))

    def line_for(self, method: str, path: str) -> Line | None:
        if method == "POST" and INVOKE.fullmatch(path):
            return Line(self.room, self.threads)
        return self.loads if method in ("POST", "DELETE") else None


class MultiServer(Processes):
    """The gunicorn application for many models."""

    def __init__(self, contract: Contract, listener: int, share: Share, most_bytes: int):
        self.most_bytes, self.journal = most_bytes, Journal()
        super().__init__(contract, listener, share)

    def load(self) -> Any:
        """Return the ASGI application; gunicorn calls this in the worker."""
        memory.share_heaps()
        models = Models(self.most_bytes, self.contract.precision, self.share.cores, self.journal)
        is_ready = threading.Event()
        application = create_app(models, is_ready, self.contract, self.share)
        front = MultiFront(application, self.contract.max_payload_mb, self.share)
        threading.Thread(target=self._start, args=(models, is_ready), name="start").start()
        return front

    def _start(self, models: Models, is_ready: threading.Event) -> None:
        """Be ready, and load what a worker before this one had loaded."""
        try:
            images.warm_up()
        except Exception as error:
            exit_without_threads(error)
            log.exception("the start failed")
            exit_worker(f"serve: the start failed: {type(error).__name__}: {error}")
        is_ready.set()
        self.seat.be_ready()
        log.info("ready for up to %.0f MB of models", self.most_bytes / 1e6)
        models.load_again()


def run_multi(contract: Contract) -> None:
    """Serve many models until SIGTERM, then exit. Raises UserError if the port or a variable is at fault."""
    if contract.fronts > 1:
        log.warning("SAGEMAKER_MODEL_SERVER_WORKERS is %d; one process has all models", contract.fronts)
    if machine.has_gpu():
        log.warning("this machine has a GPU; many models run on the processor")
    share = choose_share(1)._replace(owners=0)
    most_bytes = contract.models_mb * 10**6 or int(SHARE_OF_MEMORY * free_memory())
    log.info(
        "port %d, models from %s in up to %.0f MB, %s and %s, precision %s, bodies up to %d MB",
        *(
            contract.port,
            contract.models,
            most_bytes / 1e6,
            plural(share.cores, "core"),
            plural(share.threads, "thread"),
        ),
        *(contract.precision, contract.max_payload_mb),
    )
    MultiServer(contract, bind(contract.port), share, most_bytes).run()
