"""torch.profiler over a few steps: a trace in Chrome's format, and the slowest operators."""

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import torch
from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage]  # the type of the rows

from classifier.training.outputs import PARTIAL_TRACE, TRACE_FILE

logger = logging.getLogger(__name__)
MOST_OPERATORS = 12


class Operator(TypedDict):
    """An operator's own time and calls in an average step, and the share of all operators' time."""

    operator: str
    milliseconds: float
    share: float
    calls: float


class Tracer:
    """Traces `steps` training steps, after `wait` steps and one to warm up. An error ends the tracing, not the job."""

    def __init__(self, folder: Path, device: torch.device, wait: int, steps: int):
        self.folder = folder
        self.device = device
        self.steps = steps
        self.left = wait + 1 + steps
        self.operators: list[Operator] = []
        self.trace: str | None = None
        self.why: str | None = None
        # Without a GPU it would log that the driver is missing.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        activities = [torch.profiler.ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self.profiler = torch.profiler.profile(
            activities=activities,
            schedule=torch.profiler.schedule(wait=wait, warmup=1, active=steps, repeat=1),
            on_trace_ready=self._ready,
            acc_events=True,
        )
        self.profiler.start()

    def step(self) -> None:
        """End a training step."""
        if not self.left:
            return
        self.left -= 1
        try:
            self.profiler.step()
        except Exception as error:
            self.why = f"{type(error).__name__}: {error}"
            self.left = 0
            logger.warning("the profiler has no trace: %s", self.why)
        if not self.left:
            self._stop()

    def stop(self) -> None:
        """End tracing at any point; a trace that was cut short is left out."""
        if self.left:
            self.left = 0
            self._stop()

    def _stop(self) -> None:
        with contextlib.suppress(Exception):
            self.profiler.stop()

    def _ready(self, profiler: torch.profiler.profile) -> None:
        if self.left:  # stopped early
            return
        aside = self.folder / PARTIAL_TRACE
        try:
            profiler.export_chrome_trace(str(aside))
            aside.replace(self.folder / TRACE_FILE)
        finally:
            aside.unlink(missing_ok=True)
        self.trace = TRACE_FILE
        self.operators = slowest_operators(profiler.key_averages(), self.device, self.steps)
        if not self.operators:
            self.why = "CUDA's profiler, CUPTI, delivered no times of the GPU's kernels"
            logger.warning("the profiler lists no operators: %s", self.why)


def slowest_operators(rows: Iterable, device: torch.device, steps: int) -> list[Operator]:
    """Return the operators whose own code takes the most time; `rows` are torch.profiler's averages over `steps`.

    On a GPU that is the time of the kernels that they start, each of which torch also gives a row on the GPU.
    """
    kind = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    rows = [row for row in rows if row.device_type == DeviceType.CPU and not row.key.startswith("ProfilerStep")]
    total = sum(getattr(row, kind) for row in rows)
    if not total:
        return []
    rows.sort(key=lambda row: -getattr(row, kind))
    return [
        {
            "operator": row.key,
            "milliseconds": getattr(row, kind) / 1000 / steps,
            "share": getattr(row, kind) / total,
            "calls": row.count / steps,
        }
        for row in rows[:MOST_OPERATORS]
    ]
