"""Decides when an image is decoded: one for each core at a time, and none that takes too long or comes too late."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from classifier import images
from classifier.images import ImageError
from classifier.serving.accesslog import Trace
from classifier.serving.batcher import Expired

# Of all images of a request together. A PNG or WebP is decoded whole, which takes up to 32 ns and 10 bytes a pixel; a
# JPEG is decoded only to the size needed, so that those of every camera stay below this.
MOST_PIXELS = 24_000_000
# A larger image waits at most LARGE_WAITS_S for its turn, so that any request is answered within 2 s.
LARGE_PIXELS = MOST_PIXELS // 3
LARGE_WAITS_S = 0.75


class Decoder:
    """Decodes for any number of requests."""

    def __init__(self, cores: int):
        """Decode up to `cores` images at a time."""
        self._turns = threading.Semaphore(cores)

    def pixels(self, data: bytes, size: int, deadline: float, trace: Trace) -> np.ndarray:
        """Return images.evaluation_pixels of `data` and `size`, for the request of this `trace`.

        Raises ImageError if the bytes are not a readable image or the request has too many pixels, and Expired if its
        turn comes too late; `deadline` is a time of time.monotonic().
        """
        start, waited = time.monotonic(), trace.queue_ms
        try:
            return images.evaluation_pixels(data, size, partial(self._turn, deadline, trace))
        finally:
            trace.decode_ms += 1000 * (time.monotonic() - start) - (trace.queue_ms - waited)

    @contextmanager
    def _turn(self, deadline: float, trace: Trace, pixels: int) -> Iterator[None]:
        total = trace.decode_pixels + pixels
        if total > MOST_PIXELS:
            sentence = f"{total:,} pixels to decode, with those of the images before it, are too many"
            raise ImageError(f"{sentence}; accepted in a request: {MOST_PIXELS:,}, of which a JPEG takes few")
        trace.decode_pixels = total
        start = time.monotonic()
        patience = deadline - start if pixels <= LARGE_PIXELS else min(LARGE_WAITS_S, deadline - start)
        if patience <= 0 or not self._turns.acquire(timeout=patience):
            raise Expired
        try:
            trace.queue_ms += 1000 * (time.monotonic() - start)
            yield
        finally:
            self._turns.release()
