"""The processes that read images: how many there are, what each is reading, and their end."""

import logging
import mmap
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from torch.utils.data import get_worker_info

from classifier import memory
from classifier.errors import UserError
from classifier.machine import usable_cores
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import ignore_signals
from classifier.words import plural

logger = logging.getLogger(__name__)
MOST_WORKERS = 16
PREFETCH = 2
NOTHING = -1


class Reading:
    """The position in a phase of the image that each of up to `workers` processes is reading."""

    def __init__(self, workers: int):
        self.positions = np.frombuffer(mmap.mmap(-1, 8 * max(1, workers)), np.int64)  # shared with forked processes
        self.positions[:] = NOTHING

    @contextmanager
    def note(self, position: int) -> Iterator[None]:
        """Note what this process is reading while the block runs. The note stays if the process is killed."""
        worker = get_worker_info()
        place = worker.id if worker else 0
        self.positions[place] = position
        try:
            yield
        finally:
            self.positions[place] = NOTHING

    def find_lost(self, workers: Sequence[BaseProcess]) -> tuple[str, int | None] | None:
        """Return how the first of one DataLoader's `workers` failed, and the position it was reading, if any."""
        for worker, position in zip(workers, self.positions.tolist(), strict=False):
            if code := worker.exitcode:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                return how, None if position == NOTHING else position
        return None

    def kill_readers(self, workers: Sequence[BaseProcess]) -> None:
        """Kill those of one DataLoader's `workers` that are reading: they may wait for a file forever."""
        handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise an error for each
        try:
            for worker, position in zip(workers, self.positions.tolist(), strict=False):
                if position != NOTHING:
                    worker.kill()
                    worker.join()
        finally:
            signal.signal(signal.SIGCHLD, handler)


class ReaderLost(UserError):
    """A process that reads images has ended."""


def start_reader(_number: int) -> None:
    """Prepare this process to read images."""
    ignore_signals()
    memory.keep_small()


def count_workers(hp: Hyperparameters, shared_memory: Path = Path("/dev/shm"), trainers: int = 1) -> int:
    """Return how many processes read images for each of the `trainers` of this host, which share its cores.

    That is hp.workers, or fewer if their batches would not fit into `shared_memory`.
    """
    workers = min(-(-usable_cores() // trainers), MOST_WORKERS) if hp.workers < 0 else hp.workers
    if not shared_memory.is_dir():
        return workers
    batch_bytes = hp.batch_size * hp.image_size**2 * 3
    # Training's and validation's workers live side by side, and each makes one batch more than it prefetches.
    fitting = shutil.disk_usage(shared_memory).free // (2 * (PREFETCH + 1) * batch_bytes)
    if fitting < workers:
        logger.warning(
            "%s has room for %d of %s; --shm-size gives it more", shared_memory, fitting, plural(workers, "worker")
        )
    return min(workers, fitting)
