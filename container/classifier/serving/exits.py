"""The ways in which a serving process ends itself, and what gunicorn's master then does."""

import os
import signal

from gunicorn.arbiter import Arbiter

from classifier import streams


def stop_worker() -> None:
    """Stop this worker, so that the master starts another: what it has begun is answered first, as after SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def end_owner() -> None:
    """End the model's process at once, so that the fronts refuse what it has, and the master starts another."""
    streams.exit_now(1)


def exit_worker(sentence: str) -> None:
    """End this worker with the exit code that makes gunicorn's master stop too, not start another worker."""
    streams.tell(sentence)
    streams.exit_now(Arbiter.WORKER_BOOT_ERROR)
