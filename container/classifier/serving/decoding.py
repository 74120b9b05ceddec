"""Decides when an image is decoded: one for each core at a time, and none that takes too much or comes too late."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial

import numpy as np

from classifier import images
from classifier.formats.budget import MOST_EXCESS_S, READING, SECONDS_PER_PIXEL, Cost
from classifier.headroom import free_memory
from classifier.images import ImageError
from classifier.serving.accesslog import Trace
from classifier.serving.batcher import Expired
from classifier.serving.share import Share
from classifier.words import plural

# Of all images of a request together. A PNG or WebP is decoded whole, which takes up to 40 ns and 20 bytes a pixel; a
# JPEG is decoded only to the size needed, so that those of every camera stay below this.
MOST_PIXELS = 24_000_000
# A larger image waits at most LARGE_WAITS_S for its turn, so that any request is answered within 2 s.
LARGE_PIXELS = MOST_PIXELS // 3
LARGE_WAITS_S = 0.75
# The rest is for bodies, batches and other programs.
SHARE_OF_MEMORY = 0.75
# So much is always tried: what is free changes.
LEAST_MEMORY = 100_000_000


class Decoder:
    """Decodes for any number of requests."""

    def __init__(self, share: Share, reserved: int = 0):
        """Decode up to `share.cores` images at a time, in a share of what memory is left when the first one comes.

        `reserved` bytes of it are for others.
        """
        self._share, self._reserved = share, reserved
        self._readings, self._turns = threading.Semaphore(share.cores), threading.Semaphore(share.cores)
        self._room = threading.Condition()
        self._taken = 0

    @cached_property
    def _memory(self) -> int:
        """The bytes that all decodings together may take; by the first one, the model is loaded."""
        return max(LEAST_MEMORY, self._share.of(int(SHARE_OF_MEMORY * (free_memory() - self._reserved))))

    def pixels(self, data: bytes, size: int, deadline: float, trace: Trace) -> np.ndarray:
        """Return images.evaluation_pixels of `data` and `size`, for the request of this `trace`.

        Raises ImageError if the bytes are not a readable image or take too much to decode, and Expired if its turn
        comes too late; `deadline` is a time of time.monotonic().
        """
        if trace.decode_cpu_ms / 1000 - trace.decode_pixels * SECONDS_PER_PIXEL > MOST_EXCESS_S:
            raise ImageError("the images before it took too long to decode")
        start, waited, computed = time.monotonic(), trace.queue_ms, time.thread_time()
        try:
            return images.evaluation_pixels(data, size, partial(self._turn, deadline, trace))
        finally:
            trace.decode_ms += 1000 * (time.monotonic() - start) - (trace.queue_ms - waited)
            trace.decode_cpu_ms += 1000 * (time.thread_time() - computed)

    @contextmanager
    def _turn(self, deadline: float, trace: Trace, cost: Cost) -> Iterator[None]:
        total = trace.decode_pixels + cost.pixels
        if total > MOST_PIXELS:
            before = ", with the images before it," if trace.decode_pixels else ""
            sentence = f"the image counts{before} as {plural(total, 'pixel')} to decode"
            raise ImageError(f"{sentence}; accepted in a request: {MOST_PIXELS:,}, of which a JPEG takes few")
        if cost.memory > self._memory:
            need, most = (f"{amount / 1e6:,.0f} MB" for amount in (cost.memory, self._memory))
            raise ImageError(f"it may take {need} of memory to decode; accepted on this machine: {most}")
        trace.decode_pixels = total
        start = time.monotonic()
        until = deadline if cost.pixels <= LARGE_PIXELS else min(start + LARGE_WAITS_S, deadline)
        # What is read first is short: it does not wait behind pixels.
        turns = self._readings if cost == READING else self._turns
        if start >= until or not turns.acquire(timeout=until - start):
            raise Expired
        try:
            with self._memory_for(cost, until):
                trace.queue_ms += 1000 * (time.monotonic() - start)
                yield
        finally:
            turns.release()

    @contextmanager
    def _memory_for(self, cost: Cost, until: float) -> Iterator[None]:
        """Take memory, once enough is free; raise Expired if none was until then."""
        with self._room:
            if not self._room.wait_for(
                lambda: self._taken + cost.memory <= self._memory, max(0, until - time.monotonic())
            ):
                raise Expired
            self._taken += cost.memory
        try:
            yield
        finally:
            with self._room:
                self._taken -= cost.memory
                self._room.notify_all()
