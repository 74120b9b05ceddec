"""Tiny images for a model's process, and a batcher there that answers them when it is told to."""

import time
from concurrent.futures import Future

import numpy as np

from waits import PATIENCE_S, wait_until

SIZE, CLASSES = 4, 3


class Held:
    """A batcher that keeps images until it is told to answer."""

    def __init__(self):
        self.images: list[tuple[np.ndarray, Future]] = []

    def submit(self, pixels: np.ndarray, deadline: float) -> Future:
        """Keep an image."""
        outcome: Future = Future()
        self.images.append((pixels, outcome))
        return outcome

    def wait_for(self, number: int) -> None:
        """Wait until this many images have arrived."""
        wait_until(lambda: len(self.images) == number, f"{number} images arrive")


def image(value: int) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), value, np.uint8)


def soon() -> float:
    return time.monotonic() + PATIENCE_S
