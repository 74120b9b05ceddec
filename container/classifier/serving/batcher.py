"""Collects images of many requests into few forward passes. Knows no HTTP and no torch.

No image waits for a batch to fill: it starts as soon as a lane, a thread that runs the model, is free, and the images
that arrive while all lanes are busy form the next batches. An image that comes alone gets the lane that has all cores;
several images are shared among lanes of one core each.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

log = logging.getLogger(__name__)
# Batches that fail in turn, in any lane: after a broken CUDA context, for one, every later batch fails too.
MOST_FAILURES = 3
# A batch that takes longer hangs: SageMaker has ended its invocations by then.
LONGEST_BATCH_S = 60
# So long after images that met here one does not come alone: cores that share it would wait for each other while they
# also decode the next ones.
CALM_S = 0.1
# uint8 pixels (n, ...), n >= 1, to an array with n rows.
Forward = Callable[[np.ndarray], np.ndarray]


class Expired(Exception):
    """A request's time was over before its turn; it was not computed."""


class Outcome(NamedTuple):
    """An image's row, the milliseconds that it waited and that its batch took, and the batch's size."""

    row: np.ndarray
    queue_ms: float
    model_ms: float
    batch_size: int


@dataclass
class _Image:
    pixels: np.ndarray
    deadline: float
    outcome: Future = field(default_factory=Future)
    arrival: float = field(default_factory=time.monotonic)


class Batcher:
    """Runs the model for any number of callers."""

    def __init__(
        self,
        in_lane: Callable[[int], Forward],
        lanes: Sequence[int],
        batch_size: int,
        give_up: Callable[[], None] = lambda: None,
    ):
        """Start a thread for each of `lanes`, their numbers of cores: the first has all cores, the others share them.

        `in_lane` is called in each lane's thread with its cores, and returns the function that runs the model there:
        uint8 of shape (n, ...) to an array with n rows, for n up to `batch_size`. `give_up`, which is to end the
        process, is called when MOST_FAILURES batches in turn have failed, or when an image comes, or check() is
        called, while a batch hangs.
        """
        self._give_up = give_up
        self._failures = 0
        self._starts: dict[int, float] = {}  # of the lanes that are busy
        self._batch_size = batch_size
        self._met = -math.inf  # when an image last came while another was here
        self._lock = threading.Lock()
        self._waiting: deque[_Image] = deque()
        self._inboxes = [SimpleQueue() for _ in lanes]
        self._threads = [
            threading.Thread(target=self._run, args=(lane, in_lane, cores), name=f"lane-{lane}", daemon=True)
            for lane, cores in enumerate(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, pixels: np.ndarray, deadline: float) -> Future:
        """Queue one image and return the Future of its Outcome; it raises Expired if the turn is after `deadline`.

        `deadline` is a time of time.monotonic().
        """
        image = _Image(pixels, deadline)
        with self._lock:
            if self._waiting or self._starts:
                self._met = image.arrival
            self._waiting.append(image)
            self._start_batches()
        self.check()
        return image.outcome

    def check(self) -> None:
        """Give up if a batch hangs."""
        with self._lock:
            hangs = min(self._starts.values(), default=math.inf) < time.monotonic() - LONGEST_BATCH_S
        if hangs:
            self._end(f"a batch has taken longer than {LONGEST_BATCH_S} s")

    def close(self) -> None:
        """End the threads after their last batch; nobody may submit an image any more, or wait for one."""
        for inbox in self._inboxes:
            inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _start_batches(self) -> None:
        """Give the waiting images to the lanes that may start now; the caller holds the lock."""
        while self._waiting and (free := self._free_lanes()):
            share = math.ceil(len(self._waiting) / len(free))
            batch = [self._waiting.popleft() for _ in range(min(share, self._batch_size, len(self._waiting)))]
            self._starts[free[0]] = time.monotonic()
            self._inboxes[free[0]].put(batch)

    def _free_lanes(self) -> list[int]:
        shared = range(1, len(self._inboxes))
        if 0 in self._starts:
            return []
        comes_alone = not self._starts and self._waiting[-1].arrival > self._met + CALM_S
        if not shared or comes_alone:
            return [0]
        return [lane for lane in shared if lane not in self._starts]

    def _run(self, lane: int, in_lane: Callable[[int], Forward], cores: int) -> None:
        forward = in_lane(cores)
        while (batch := self._inboxes[lane].get()) is not None:
            has_failed = _compute(batch, forward)
            with self._lock:
                self._failures = self._failures + 1 if has_failed else 0
                gives_up = self._failures == MOST_FAILURES
                del self._starts[lane]
                self._start_batches()
            if gives_up:
                self._end(f"{MOST_FAILURES} batches in turn have failed")

    def _end(self, reason: str) -> None:
        log.critical("%s: this worker stops, and the next loads the model anew", reason)
        self._give_up()


def _compute(batch: list[_Image], forward: Forward) -> bool:
    """Give each image of `batch` its outcome, and return whether `forward` failed."""
    start = time.monotonic()
    current = [image for image in batch if image.deadline > start]
    for image in batch:
        if image.deadline <= start:
            image.outcome.set_exception(Expired())
    if not current:
        return False
    try:
        rows = forward(np.stack([image.pixels for image in current]))
    except BaseException as error:
        for image in current:
            image.outcome.set_exception(error)
        return True
    model_ms = 1000 * (time.monotonic() - start)
    for image, row in zip(current, rows, strict=True):
        image.outcome.set_result(Outcome(row, 1000 * (start - image.arrival), model_ms, len(current)))
    return False
