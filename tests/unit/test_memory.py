import platform
import subprocess
import sys
from pathlib import Path

import pytest

from classifier import memory

# Prints the page faults of allocating and freeing a block ten times, after a first time that does not count.
FAULTS = """
import ctypes, resource, sys
from classifier import memory
if name := sys.argv[1]:
    getattr(memory, name)()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def take_and_free():
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
size = int(sys.argv[2]) * 2**20
take_and_free()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    take_and_free()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
@pytest.mark.parametrize(
    ("setting", "megabytes", "kept"),
    [
        ("", 64, False),
        ("keep_all", 64, True),
        ("keep_all", 16, True),
        ("keep_small", 64, False),
        ("keep_small", 16, True),
    ],
)
def test_freed_memory_is_kept_as_documented(setting, megabytes, kept):
    command = [sys.executable, "-c", FAULTS, setting, str(megabytes)]
    environ = {"PYTHONPATH": str(Path(memory.__file__).parents[1])}
    faults = int(subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout)
    assert (faults < 100) == kept, faults


def test_another_c_library_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _name: object())
    memory.keep_all()
    memory.keep_small()
    memory.share_heaps()
