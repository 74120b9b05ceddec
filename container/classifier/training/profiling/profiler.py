"""Profiling: where the time of a step goes, over a short window after the warm-up. An error in it never harms training.

The training loop names its parts with timed() and span(). Timing slows down only the steps inside the window.
"""

import contextlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from classifier.files import write_file
from classifier.training.profiling.job_time import FIRST_BATCHES, STEPS, WAITING, JobTime
from classifier.training.profiling.stopwatch import Stopwatch
from classifier.training.profiling.system import Sample, Sampler
from classifier.training.profiling.trace import Operator, Tracer
from classifier.training.profiling.window import plan

logger = logging.getLogger(__name__)
LEAST_SAMPLES = 4
NOTHING = contextlib.nullcontext()
T = TypeVar("T")


@dataclass
class Profile:
    """The result of profiling; `why` it was off, if it was."""

    why: str | None = None
    steps: list[dict[str, float]] = field(default_factory=list)  # milliseconds by part
    spans: dict[str, float] = field(default_factory=dict)  # seconds of the whole job by part
    operators: list[Operator] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    trace: str | None = None

    def share(self, *parts: str) -> float:
        """Return the share of the timed steps that `parts` take."""
        total = sum(sum(step.values()) for step in self.steps)
        return sum(step.get(part, 0) for step in self.steps for part in parts) / total if total else 0.0

    def span_share(self, span: str, among: Iterable[str] = ()) -> float:
        """Return the share that `span` takes of the whole job's time, or of that of the spans `among`."""
        total = sum(self.spans.get(part, 0.0) for part in among or self.spans)
        return self.spans.get(span, 0.0) / total if total else 0.0

    def describe_spans(self) -> str:
        return ", ".join(f"{part} {seconds:,.1f} s" for part, seconds in self.spans.items())

    def in_steps(self) -> list[Sample]:
        """Return the samples that were taken during training steps, if they are enough to tell."""
        found = [sample for sample in self.samples if sample.part == STEPS]
        return found if len(found) >= LEAST_SAMPLES else []

    def step_milliseconds(self) -> float:
        return sum(sum(step.values()) for step in self.steps) / max(1, len(self.steps))

    def write_json(self, path: Path, findings: list[str]) -> None:
        values = vars(self) | {"findings": findings, "samples": [vars(sample) for sample in self.samples]}
        write_file(path, f"{json.dumps(values, indent=1)}\n".encode())


class Profiler(ABC):
    """Measures a training."""

    @abstractmethod
    def batches(self, batches: Iterable[T]) -> Iterable[T]:
        """Return the batches of an epoch, and time the wait for each."""

    @abstractmethod
    def timed(self, part: str) -> AbstractContextManager:
        """Time a part of a training step; a part within a part counts for itself alone."""

    @abstractmethod
    def span(self, part: str) -> AbstractContextManager:
        """Time a part of the job, one of job_time.PARTS."""

    @abstractmethod
    def step(self) -> None:
        """End a training step."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the seconds of the whole job by part, for a resumed job to continue from."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, before the first step."""

    @abstractmethod
    def finish(self) -> Profile:
        """End profiling after the last step, and return its result."""


class NoProfiler(Profiler):
    """Does nothing, and knows `why`."""

    def __init__(self, why: str):
        self.why = why

    def batches(self, batches: Iterable[T]) -> Iterable[T]:
        return batches

    def timed(self, part: str) -> AbstractContextManager:
        return NOTHING

    def span(self, part: str) -> AbstractContextManager:
        return NOTHING

    def step(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def finish(self) -> Profile:
        return Profile(why=self.why)


class StepProfiler(Profiler):
    """Times the parts of a few steps, then lets torch.profiler trace a few more."""

    def __init__(self, folder: Path, device: torch.device, steps: int, steps_per_epoch: int):
        self.first, self.last, traced = plan(steps, steps_per_epoch)
        self.done = 0
        self.steps: list[dict[str, float]] = []
        self.job = JobTime()
        self.stopwatch = Stopwatch(device)
        self.tracer = Tracer(folder, device, self.last, traced) if traced else None
        self.sampler = Sampler(device, lambda: self.job.part)
        self.sampler.start()

    @property
    def is_timing(self) -> bool:
        return self.first <= self.done < self.last

    def batches(self, batches: Iterable[T]) -> Iterable[T]:
        self.stopwatch.start()
        iterator, part = iter(batches), FIRST_BATCHES
        while True:
            with self.span(part), self.timed("data wait"):
                batch = next(iterator, None)
            if batch is None:
                return
            yield batch
            part = WAITING

    def timed(self, part: str) -> AbstractContextManager:
        return self.stopwatch.timed(part) if self.is_timing else NOTHING

    def span(self, part: str) -> AbstractContextManager:
        return self.job.timed(part)

    def step(self) -> None:
        if self.is_timing:
            self.steps.append(self.stopwatch.milliseconds())
        self.done += 1
        if self.tracer:
            self.tracer.step()
        self.stopwatch.start()

    def state_dict(self) -> dict[str, Any]:
        return self.job.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.job.load_state_dict(state)

    def finish(self) -> Profile:
        profile = Profile(steps=self.steps, spans=self.job.state_dict(), samples=self.sampler.stop())
        if self.tracer:
            self.tracer.stop()
            profile.why, profile.trace = self.tracer.why, self.tracer.trace
            profile.operators = self.tracer.operators
        return profile


def make_profiler(mode: str, folder: Path, device: torch.device, steps: int, steps_per_epoch: int) -> Profiler:
    """Return the profiler of a job of `steps` training steps; `mode` is the hyperparameter profile."""
    if mode == "off":
        return NoProfiler("profile=off")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return StepProfiler(folder, device, steps, steps_per_epoch)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        logger.warning("profiling is off: %s", why)
        return NoProfiler(why)
