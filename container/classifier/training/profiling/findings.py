"""Findings: sentences that say what the profile's numbers mean, and what to do. Each finding's threshold is here.

The first is on the largest part of the job's time, unless that is its steps, as it should be.
"""

import math
from dataclasses import dataclass

import torch

from classifier.machine import usable_cores
from classifier.training.profiling.job_time import (
    END,
    FIRST_BATCHES,
    INT8,
    LABELS,
    SAVING,
    START,
    STEPS,
    TEST,
    VALIDATION,
    WAITING,
)
from classifier.training.profiling.profiler import Profile
from classifier.words import percent, plural

MOST_WAITING = 0.25
HOOK = 0.05
ON_THE_CPU = 0.5
MOST_VALIDATION = 0.3
MOST_SAVING = 0.1
# Of the job, and in seconds: a job of seconds has no part worth changing.
LARGEST, WORTH_CHANGING_S = 0.3, 10.0
# On parts of a job that have no finding of their own.
ADVICE = {
    START: "it is paid once a job, so train longer in one job rather than in several short ones",
    FIRST_BATCHES: "images are decoded there; smaller image files, or more CPU cores and workers, help",
    TEST: "use fewer test images",
    LABELS: "all images pass through the network once more",
    INT8: "some seconds of it are paid once a job, so train longer in one; the rest grows with the validation images",
    END: "the debugger still had steps to judge; set a longer save_interval, or debug=off",
}
LOOP = (FIRST_BATCHES, WAITING, STEPS, VALIDATION, SAVING)
GPU_BUSY = 0.5
GPU_MEMORY_USED = 0.4
# GPUs have tensor cores since this compute capability: Volta, V100.
MIXED_PRECISION = (7, 0)


@dataclass(frozen=True)
class Setting:
    """The facts about the job that the findings need besides its profile."""

    device: torch.device
    dtype: torch.dtype
    workers: int
    cores: int
    capability: tuple[int, int] | None  # of the GPU

    @classmethod
    def of(cls, device: torch.device, dtype: torch.dtype, workers: int) -> "Setting":
        capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
        return cls(device, dtype, workers, usable_cores(), capability)


def list_findings(profile: Profile, setting: Setting) -> list[str]:
    """Return a sentence for each threshold that is exceeded, the costliest first."""
    if not profile.steps:
        return []
    checks = (largest_part, waiting, on_the_cpu, gpu_idle, full_precision, gpu_memory)
    checks += (validating, saving, hook)
    return [sentence for check in checks if (sentence := check(profile, setting))]


def largest_part(profile: Profile, setting: Setting) -> str | None:
    part = max(profile.spans, key=profile.spans.__getitem__, default=STEPS)
    share, seconds = profile.span_share(part), profile.spans.get(part, 0.0)
    if part not in ADVICE or share < LARGEST or seconds < WORTH_CHANGING_S:
        return None
    return f"{percent(share)} of the job's time is its {part} ({seconds:,.0f} s): {ADVICE[part]}."


def waiting(profile: Profile, setting: Setting) -> str | None:
    share = profile.span_share(WAITING, (WAITING, STEPS))
    if share <= MOST_WAITING:
        return None
    needed, cores = workers_needed(share, setting.workers), setting.cores
    if needed <= cores and needed > setting.workers:
        what = f"raise workers from {setting.workers} to {needed}"
    elif setting.workers < cores:
        what = f"raise workers from {setting.workers} to {cores}, or take an instance with {plural(needed, 'CPU core')}"
    else:
        reading = plural(cores, "CPU core already reads", "CPU cores already read")
        what = f"{reading}, so take an instance with {needed}, or use smaller image files"
    return f"{percent(share)} of the time of the steps is waiting for images: {what}."


def workers_needed(share: float, workers: int) -> int:
    """Return how many workers read as fast as a step computes, if it waits for `share` of its time with `workers`."""
    computing = max(1 - share, 1e-3)
    reading = max(1, workers) * (1 if workers else share)  # seconds of one worker for a batch, of a step's second
    return max(1, math.ceil(reading / computing))


def on_the_cpu(profile: Profile, setting: Setting) -> str | None:
    share = profile.share("forward", "backward", "optimizer")
    if setting.device.type != "cpu" or share <= ON_THE_CPU:
        return None
    return (
        f"{percent(share)} of a step computes, on {plural(setting.cores, 'CPU core')}: an instance with a GPU, such as "
        f"ml.g4dn.xlarge, does that many times faster."
    )


def gpu_idle(profile: Profile, setting: Setting) -> str | None:
    busy = [sample.gpu for sample in profile.in_steps() if sample.gpu is not None]
    if not busy or (mean := sum(busy) / len(busy)) >= GPU_BUSY:
        return None
    return f"The GPU is busy {percent(mean)} of the time of the steps: raise batch_size, or take a smaller GPU."


def full_precision(_profile: Profile, setting: Setting) -> str | None:
    if setting.capability is None or setting.capability < MIXED_PRECISION or setting.dtype is not torch.float32:
        return None
    return "Mixed precision is off on a GPU that supports it: precision=auto is about twice as fast."


def gpu_memory(profile: Profile, setting: Setting) -> str | None:
    used = max((sample.gpu_memory for sample in profile.samples if sample.gpu_memory is not None), default=1.0)
    if setting.device.type != "cuda" or used >= GPU_MEMORY_USED:
        return None
    return f"At most {percent(used)} of the GPU's memory is used: batch_size can be raised (with lr in proportion)."


def validating(profile: Profile, _setting: Setting) -> str | None:
    share = profile.span_share(VALIDATION, LOOP)
    if share <= MOST_VALIDATION:
        return None
    return (
        f"Validation takes {percent(share)} of the epochs' time: use fewer validation images, or more training images."
    )


def saving(profile: Profile, _setting: Setting) -> str | None:
    share = profile.span_share(SAVING, LOOP)
    if share <= MOST_SAVING:
        return None
    return (
        f"Saving the model takes {percent(share)} of the epochs' time: the epochs are short; use fewer and longer ones."
    )


def hook(profile: Profile, _setting: Setting) -> str | None:
    share = profile.share("hook")
    if share <= HOOK:
        return None
    return f"The debugging hook takes {percent(share)} of a step: set a longer save_interval, or debug=off."
