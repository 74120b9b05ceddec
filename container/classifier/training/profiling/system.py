"""Samples of how busy processor, memory and GPU are, taken by a thread while the job runs."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

from classifier.machine import usable_cores

# As often as SageMaker's own monitoring.
SECONDS_BETWEEN_SAMPLES = 0.5


@dataclass(frozen=True)
class Sample:
    """Shares from 0 to 1, `seconds` after the start and in a `part` of the job; None without a GPU."""

    seconds: float
    cpu: float
    memory: float
    gpu: float | None = None
    gpu_memory: float | None = None
    part: str = ""


class Sampler(threading.Thread):
    """Samples until stop(); `part` tells the job's part under way. A failure ends the sampling, not the job."""

    def __init__(self, device: torch.device, part: Callable[[], str]):
        super().__init__(daemon=True)
        self.device = device
        self.part = part
        self.samples: list[Sample] = []
        self.cores = usable_cores()
        self.ended = threading.Event()
        self.started_at = self.last_at = time.monotonic()
        self.last_cpu: float | None = None

    def run(self) -> None:
        try:
            while not self.ended.wait(SECONDS_BETWEEN_SAMPLES):
                self._sample()
        except Exception:  # psutil and the driver may raise anything; a missing chart is not worth a log line
            return

    def stop(self) -> list[Sample]:
        self.ended.set()
        self.join()
        return self.samples

    def _sample(self) -> None:
        now, used = time.monotonic(), processor_seconds()
        if self.last_cpu is not None:
            # The seconds of a process that has ended are no longer counted.
            share = max(0.0, used - self.last_cpu) / (now - self.last_at) / self.cores
            memory = psutil.virtual_memory().percent / 100
            gpu = gpu_shares(self.device)
            self.samples.append(Sample(now - self.started_at, min(1.0, share), memory, *gpu, self.part()))
        self.last_cpu, self.last_at = used, now


def processor_seconds() -> float:
    """Return the processor time of this process and its descendants."""
    total = 0.0
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def gpu_shares(device: torch.device) -> tuple[float | None, float | None]:
    """Return how busy the GPU is, from NVIDIA's management library, and how full its memory is; None if unknown."""
    if device.type != "cuda":
        return None, None
    busy = full = None
    with contextlib.suppress(Exception):  # the driver may refuse either, as it does for a part of a GPU (MIG)
        busy = torch.cuda.utilization(device) / 100
    with contextlib.suppress(Exception):
        free, total = torch.cuda.mem_get_info(device)
        full = 1 - free / total
    return busy, full
