"""The processes that read images: how many there are, what each is reading, and their end."""

import logging
import math
import mmap
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import numpy as np
from torch.utils.data import get_worker_info

from classifier import memory
from classifier.errors import UserError
from classifier.headroom import count_kills, free_memory
from classifier.machine import usable_cores
from classifier.training.data.order import PART
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import ignore_signals
from classifier.words import plural

logger = logging.getLogger(__name__)
MOST_WORKERS = 64
# Parts that each of them has under way.
PREFETCH = 2
# Train, validation and test each have processes of their own, and batches.
PHASES = 3
MOST_OF_THE_MEMORY = 0.25
NOTHING = -1


class Reading:
    """The position in a phase of the image that each of up to `workers` processes is reading."""

    def __init__(self, workers: int):
        self.positions = np.frombuffer(mmap.mmap(-1, 8 * max(1, workers)), np.int64)  # shared with forked processes
        self.positions[:] = NOTHING
        self.kills = count_kills()

    @property
    def place(self) -> int:
        """Return the number of this process among the workers, or 0 if it is none of them."""
        worker = get_worker_info()
        return worker.id if worker else 0

    @contextmanager
    def note(self, position: int) -> Iterator[None]:
        """Note what this process is reading while the block runs. The note stays if the process is killed."""
        place = self.place
        self.positions[place] = position
        try:
            yield
        finally:
            self.positions[place] = NOTHING

    def describe_lost(self, workers: Sequence[BaseProcess], name: Callable[[int], str]) -> str | None:
        """Say what ended the first of one DataLoader's `workers` that failed, and which image it was reading.

        `name` gives the name of the image at a position. None if no process failed.
        """
        for worker, position in zip(workers, self.positions.tolist(), strict=False):
            if code := worker.exitcode:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                at = "" if position == NOTHING else f", at {name(position)}"
                return f"{how}{at}{self._explain(code)}"
        return None

    def _explain(self, code: int) -> str:
        if code != -signal.SIGKILL:
            return ""
        why = "SIGKILL usually means that memory ran out"
        if count_kills() > self.kills:
            why = "the container's memory ran out"
        return f"; {why}: accepted are fewer workers, a smaller batch_size, and images that can be decoded"

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


def count_slots(share: int, workers: int) -> int:
    """Return the slots for batches of up to `share` images: for all parts under way, one in use, and one copied."""
    return math.ceil(PREFETCH * workers / math.ceil(share / PART)) + 2


def count_workers(hp: Hyperparameters, share: int, trainers: int = 1) -> int:
    """Return how many processes read for each of the `trainers` of this host, which share its cores.

    That is hp.workers, or fewer if there is no memory for their batches, of up to `share` images.
    """
    workers = _wanted_workers(hp, trainers)
    room = free_memory() * MOST_OF_THE_MEMORY / trainers
    return next((fewer for fewer in range(workers, 0, -1) if _slot_bytes(hp, share, fewer) <= room), 0)


def check_memory(hp: Hyperparameters, share: int, trainers: int = 1) -> None:
    """Log if there is memory for the batches of fewer workers than hp asks for: see count_workers().

    Raises UserError if it does not even suffice for one batch at a time.
    """
    free = free_memory()
    if (least := _slot_bytes(hp, share, 0) * trainers) > free:
        raise UserError(
            f"batch_size={hp.batch_size} at image_size={hp.image_size} takes {least / 1e9:,.1f} GB of memory for "
            f"images on their way to the network, and {free / 1e9:,.1f} GB are free; lower one of them"
        )
    wanted, workers = _wanted_workers(hp, trainers), count_workers(hp, share, trainers)
    if workers < wanted:
        what = "there is memory for the batches of %d of %s: %.1f GB are free"
        logger.warning(what, workers, plural(wanted, "worker"), free / 1e9)


def _wanted_workers(hp: Hyperparameters, trainers: int) -> int:
    if multiprocessing.get_start_method() != "fork":  # as on macOS: they would not share the slots
        return 0
    return min(-(-usable_cores() // trainers), MOST_WORKERS) if hp.workers < 0 else hp.workers


def _slot_bytes(hp: Hyperparameters, share: int, workers: int) -> int:
    """Return what the batches of all phases take in one trainer."""
    return PHASES * count_slots(share, workers) * share * hp.image_size**2 * 3
