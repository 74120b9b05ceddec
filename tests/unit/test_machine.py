import os
from pathlib import Path

import pytest

from classifier import machine


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "9900000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu.max": "garbage"}, 8),
    ],
)
def test_usable_cores(tmp_path: Path, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        (path := tmp_path / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert machine.usable_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("files", "chosen", "gpus"),
    [
        ([], None, []),
        (["nvidiactl", "nvidia-uvm"], None, []),
        (["nvidia0", "nvidia3", "nvidiactl"], None, ["0", "1"]),  # CUDA counts those that are there
        (["nvidia0", "nvidia1", "nvidia2"], "2,GPU-8a5b", ["2", "GPU-8a5b"]),
        (["nvidia0"], "-1", []),
        (["nvidia0"], "", []),
        ([], "0", []),
    ],
)
def test_the_gpus_that_this_process_may_use(tmp_path, monkeypatch, files, chosen, gpus):
    (tmp_path / "dev").mkdir()
    for name in files:
        (tmp_path / "dev" / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert machine.list_gpus(tmp_path) == gpus
    assert machine.has_gpu(tmp_path) is bool(gpus)
