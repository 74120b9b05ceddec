"""The machine: its cores, and whether it has a GPU. Without torch, so that the server starts quickly."""

import math
import os
import re
from itertools import takewhile
from pathlib import Path

from classifier.cgroups import list_groups

CHOSEN_GPUS = "CUDA_VISIBLE_DEVICES"


def usable_cores(system: Path = Path("/")) -> int:
    """Return how many CPU cores this process may use, by its affinity and its cgroup's limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cgroup_cores(system))))


def list_gpus(system: Path = Path("/")) -> list[str]:
    """Return the NVIDIA GPUs that are not hidden from this process, each as CUDA_VISIBLE_DEVICES names it.

    As CUDA does, it passes over all behind a name that is no GPU's. If that is the first, it is the only one returned:
    whoever uses it gets CUDA's error.
    """
    found = [str(number) for number, _ in enumerate((system / "dev").glob("nvidia[0-9]*"))]
    chosen = os.environ.get(CHOSEN_GPUS)
    if chosen is None or not found:
        return found
    if _are_gpus_hidden():
        return []
    names = list(dict.fromkeys(name.strip() for name in chosen.split(",")))
    seen = list(takewhile(lambda name: name in found or name.startswith(("GPU-", "MIG-")), names))
    return seen or names[:1]


def has_gpu(system: Path = Path("/")) -> bool:
    """Return whether the machine has an NVIDIA GPU that is not hidden from this process."""
    return bool(list_gpus(system))


def count_unseen_gpus(system: Path = Path("/")) -> int:
    """Return how many NVIDIA GPUs the host has, if this container was given none and they were not hidden on purpose.

    The host's PCI devices show in a container too: /sys/bus/pci/devices, where NVIDIA's are of vendor 0x10de and
    displays of class 0x03 (https://pcisig.com, "PCI Code and ID Assignment").
    """
    if _are_gpus_hidden() or has_gpu(system):
        return 0
    devices = (system / "sys/bus/pci/devices").glob("*")
    found = [(_text(device / "vendor"), _text(device / "class")) for device in devices]
    return sum(vendor == "0x10de" and kind.startswith("0x03") for vendor, kind in found)


def _are_gpus_hidden() -> bool:
    first = os.environ.get(CHOSEN_GPUS, "0").partition(",")[0].strip()
    return first in ("", "NoDevFiles") or first.startswith("-")


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _cgroup_cores(system: Path) -> float:
    cores = math.inf
    for group in list_groups("cpu", system):
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
        for limit in (_text(group / "cpu.max"), f"{quota} {period}"):
            if found := re.fullmatch("([1-9][0-9]*) ([1-9][0-9]*)", limit):  # else "max", or -1: no limit
                cores = min(cores, int(found[1]) / int(found[2]))
    return cores
