"""Settings of glibc's allocator for freed memory. Under another C library they do nothing.

By default it returns large blocks to the kernel at once, which clears every page before it hands it out again: a
training step that allocates and frees a gigabyte pays for that each time. See mallopt(3).
"""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
# The largest that glibc accepts.
_LARGEST_THRESHOLD = 32 * 2**20


def keep_all() -> None:
    """Keep all freed memory, for the next step, which needs as much."""
    _set(_M_MMAP_MAX, 0)
    _set(_M_TRIM_THRESHOLD, -1)


def keep_small() -> None:
    """Keep blocks of the size of common images, and return those of a rare large one."""
    _set(_M_MMAP_MAX, 65_536)
    _set(_M_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
    _set(_M_TRIM_THRESHOLD, 4 * _LARGEST_THRESHOLD)


def share_heaps() -> None:
    """Let all threads share two heaps instead of 8 for each core, each of which would keep its largest image."""
    _set(_M_ARENA_MAX, 2)


def trim() -> None:
    """Return to the kernel what is free, whatever the settings."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _set(parameter: int, value: int) -> None:
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(parameter, value)
