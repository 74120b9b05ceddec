"""How much memory is left, on the machine and in the control groups of this process, such as a container's."""

import os
from pathlib import Path

import psutil

from classifier.cgroups import list_groups

# By version of cgroups: the limit, what is used, and the key in memory.stat of files that may be dropped.
_FILES = [
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
]
_KILLS = "memory.events", "memory.oom_control"


def free_memory(system: Path = Path("/")) -> int:
    """Return how many bytes this process may still take."""
    left = [room for group in list_groups("memory", system) for room in _left_in(group)]
    return min([_left_on_machine(), *left])


def count_kills(system: Path = Path("/")) -> int:
    """Return how many processes the kernel has killed because a group's limit was reached; 0 if it does not say."""
    counts = [_counts(group / file) for group in list_groups("memory", system) for file in _KILLS]
    return max(int(count.get("oom_kill", 0)) for count in counts)


def _left_on_machine() -> int:
    try:
        return psutil.virtual_memory().available
    except OSError:  # no /proc, as in some sandboxes
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in(group: Path) -> list[int]:
    """Return, as the only item, what is left in the group; none if it has no limit."""
    for limit, used, droppable in _FILES:
        try:
            left = int((group / limit).read_text()) - int((group / used).read_text())
            return [left + int(_counts(group / "memory.stat")[droppable])]
        except (OSError, ValueError, KeyError):  # another version, or no limit ("max")
            continue
    return []


def _counts(file: Path) -> dict[str, str]:
    """Return the numbers that the file names, a line each; none if it cannot be read."""
    try:
        return dict(line.split() for line in file.read_text().splitlines())
    except (OSError, ValueError):
        return {}
