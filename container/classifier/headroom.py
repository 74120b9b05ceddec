"""How much memory is left, on the machine and in the cgroup, which is a container's limit."""

from pathlib import Path

import psutil

# By version of cgroups: the limit, what is used, the statistics, and the key there of files that may be dropped.
_FILES = [
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
]


def free_memory(system: Path = Path("/")) -> int:
    """Return how many bytes this process may still take."""
    return min([psutil.virtual_memory().available, *_left_in_cgroup(system / "sys/fs/cgroup")])


def count_kills(system: Path = Path("/")) -> int:
    """Return how many processes the kernel has killed since this cgroup's limit was reached; 0 if it does not say."""
    for file in ("memory.events", "memory/memory.oom_control"):
        try:
            counts = dict(line.split() for line in (system / "sys/fs/cgroup" / file).read_text().splitlines())
            return int(counts["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return 0


def _left_in_cgroup(group: Path) -> list[int]:
    for limit, used, statistics, droppable in _FILES:
        try:
            counts = dict(line.split() for line in (group / statistics).read_text().splitlines())
            return [int((group / limit).read_text()) - int((group / used).read_text()) + int(counts[droppable])]
        except (OSError, ValueError, KeyError):  # another version, or no limit ("max")
            continue
    return []
