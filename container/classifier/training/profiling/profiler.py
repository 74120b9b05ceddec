"""Profiling: where the time of a step goes, over a short window after the warm-up. It never hurts training.

The loop in trainer.py names its phases with timed() and span(); with profile=off these do nothing. Inside the window
each phase waits for the GPU, so that its time is its own; outside of it nothing is slowed down.
"""

import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from classifier.training.profiling.system import Sample, Sampler
from classifier.training.profiling.trace import Tracer

logger = logging.getLogger(__name__)
NOTHING = contextlib.nullcontext()
WARM_UP, TIMED, TRACED = 5, 20, 3


@dataclass
class Profile:
    """What profiling came to; `why` it was off, if it was."""

    why: str | None = None
    steps: list[dict[str, float]] = field(default_factory=list)  # milliseconds by phase
    spans: dict[str, float] = field(default_factory=dict)  # seconds of the whole job by phase
    operators: list[dict[str, object]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    trace: str | None = None

    def share(self, *phases: str) -> float:
        """The share of the timed steps that `phases` take."""
        total = sum(sum(step.values()) for step in self.steps)
        return sum(step.get(phase, 0) for step in self.steps for phase in phases) / total if total else 0.0

    def span_share(self, span: str) -> float:
        """The share of the whole job's time that `span` takes."""
        total = sum(self.spans.values())
        return self.spans.get(span, 0.0) / total if total else 0.0

    def step_milliseconds(self) -> float:
        return sum(sum(step.values()) for step in self.steps) / max(1, len(self.steps))

    def write(self, path: Path, findings: list[str]) -> None:
        values = vars(self) | {"findings": findings, "samples": [vars(sample) for sample in self.samples]}
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


class Profiler:
    """No profiling, and `why`."""

    def __init__(self, why: str):
        self.why: str | None = why

    def batches(self, batches: Iterable) -> Iterable:
        """The batches of an epoch, with the time that they are waited for."""
        return batches

    def timed(self, _phase: str) -> AbstractContextManager:
        """Around a part of a training step; a part within a part counts for itself alone."""
        return NOTHING

    def span(self, _phase: str) -> AbstractContextManager:
        """Around a part of the job between the training steps."""
        return NOTHING

    def step(self) -> None:
        """A training step is over."""

    def state_dict(self) -> dict[str, float]:
        """Seconds of the whole job by phase: what a resumed job has spent before."""
        return {}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Count on from `state`."""

    def finish(self) -> Profile:
        """End profiling, after the last step."""
        return Profile(why=self.why)


class StepProfiler(Profiler):
    """Times the phases of a few steps, then lets torch.profiler trace a few more."""

    def __init__(self, folder: Path, device: torch.device, steps: int, steps_per_epoch: int):
        self.device = device
        self.first, self.last, traced = plan(steps, steps_per_epoch)
        self.done = 0
        self.steps: list[dict[str, float]] = []
        self.phases: list[str] = []
        self.times = Counter()
        self.spans = Counter()
        self.mark = self.step_started = time.perf_counter()
        self.tracer = Tracer(folder, device, self.last, traced) if traced else None
        self.sampler = Sampler(device)
        self.sampler.start()

    @property
    def is_timing(self) -> bool:
        return self.first <= self.done < self.last

    def batches(self, batches: Iterable) -> Iterable:
        self.step_started = time.perf_counter()
        iterator = iter(batches)
        with self.span("training"):
            while True:
                with self.timed("data wait"):
                    batch = next(iterator, None)
                if batch is None:
                    return
                yield batch

    def timed(self, phase: str) -> AbstractContextManager:
        return self._timed(phase) if self.is_timing else NOTHING

    @contextlib.contextmanager
    def span(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spans[phase] += time.perf_counter() - started

    def step(self) -> None:
        if self.is_timing:
            step = {phase: 1000 * seconds for phase, seconds in self.times.items()}
            step["other"] = max(0.0, 1000 * (self._now() - self.step_started) - sum(step.values()))
            self.steps.append(step)
        self.times.clear()
        self.done += 1
        if self.tracer:
            self.tracer.step()
        self.step_started = time.perf_counter()

    def state_dict(self) -> dict[str, float]:
        return dict(self.spans)

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.spans.update(state)

    def finish(self) -> Profile:
        profile = Profile(steps=self.steps, spans=dict(self.spans), samples=self.sampler.stop())
        if self.tracer:
            self.tracer.stop()
            profile.why, profile.trace = self.tracer.why, self.tracer.trace
            profile.operators = self.tracer.operators
        return profile

    @contextlib.contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        now = self._now()
        if self.phases:
            self.times[self.phases[-1]] += now - self.mark
        self.phases.append(phase)
        self.mark = now
        try:
            yield
        finally:
            now = self._now()
            self.times[self.phases.pop()] += now - self.mark
            self.mark = now

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def make_profiler(mode: str, folder: Path, device: torch.device, steps: int, steps_per_epoch: int) -> Profiler:
    """The profiler of a job of so many training `steps`; `mode` is the hyperparameter profile."""
    if mode == "off":
        return Profiler("profile=off")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return StepProfiler(folder, device, steps, steps_per_epoch)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        logger.warning("profiling is off: %s", why)
        return Profiler(why)


def plan(steps: int, steps_per_epoch: int) -> tuple[int, int, int]:
    """The first timed step, the step after the last timed one, and how many are traced after one to warm up."""
    first = min(WARM_UP, steps // 4)
    traced = min(TRACED, (steps - first) // 4)
    last = max(first, min(first + TIMED, steps - traced - 1))
    epoch_ends = last - last % steps_per_epoch + steps_per_epoch
    if last + 1 + traced > epoch_ends and traced < steps_per_epoch:
        # A validation in between would be part of the trace: begin with the next epoch, or end with this one.
        last = epoch_ends if epoch_ends + 1 + traced <= steps else max(first, epoch_ends - 1 - traced)
    return first, last, traced
