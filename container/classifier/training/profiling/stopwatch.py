"""Divides time among named parts: every moment belongs to one."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch

OTHER = "other"


class Stopwatch:
    """Waits for the GPU around each part, so that its time is its own; a part within a part counts for itself alone."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self.parts = [OTHER]  # those under way, from outer to inner
        self.mark = time.perf_counter()

    def start(self) -> None:
        """Begin anew."""
        self.seconds.clear()
        self.mark = time.perf_counter()

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        self.settle()
        self.parts.append(part)
        try:
            yield
        finally:
            self.settle()
            self.parts.pop()

    def settle(self) -> None:
        """Count the time until now for the part that is under way."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[self.parts[-1]] += now - self.mark
        self.mark = now

    def milliseconds(self) -> dict[str, float]:
        """Return the milliseconds of each part since start(); what is no part's is "other"."""
        self.settle()
        return {part: 1000 * seconds for part, seconds in self.seconds.items()}
