"""Times the parts of a training step."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch


class Stopwatch:
    """Waits for the GPU around each part, so that its time is its own; a part within a part counts for itself alone."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self.parts: list[str] = []  # those under way, from outer to inner
        self.mark = self.started = time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self.seconds.clear()
        self.started = time.perf_counter()

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        now = self._now()
        if self.parts:
            self.seconds[self.parts[-1]] += now - self.mark
        self.parts.append(part)
        self.mark = now
        try:
            yield
        finally:
            now = self._now()
            self.seconds[self.parts.pop()] += now - self.mark
            self.mark = now

    def milliseconds(self) -> dict[str, float]:
        """Return the milliseconds of each part since start(), and of everything else as "other"."""
        step = {part: 1000 * seconds for part, seconds in self.seconds.items()}
        step["other"] = max(0.0, 1000 * (self._now() - self.started) - sum(step.values()))
        return step

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
