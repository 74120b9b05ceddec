import os
import runpy
import sys
from pathlib import Path

import pytest
import torch

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
        ({"cpu.max": "300000 100000", "a/b/cpu.max": "200000 100000", "a/b/c/cpu.max": "100000 100000"}, 2),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ({"cpu/d/cpu.cfs_quota_us": "400000", "cpu/d/cpu.cfs_period_us": "100000"}, 4),
    ],
)
def test_usable_cores(tmp_path: Path, monkeypatch, files, cores):
    """The least that any group allows which this process is in."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("3:cpu,cpuacct:/d\n2:memory:/e\n0::/a/b\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        (path := tmp_path / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert machine.usable_cores(tmp_path) == cores


THREE = ["nvidia0", "nvidia1", "nvidia2"]


@pytest.mark.parametrize(
    ("files", "chosen", "gpus"),
    [
        ([], None, []),
        (["nvidiactl", "nvidia-uvm"], None, []),
        (["nvidia0", "nvidia3", "nvidiactl"], None, ["0", "1"]),  # CUDA counts those that are there
        (THREE, "2,GPU-8a5b", ["2", "GPU-8a5b"]),
        (THREE, "MIG-1f3a,MIG-7c", ["MIG-1f3a", "MIG-7c"]),
        (THREE, "2, 0 ", ["2", "0"]),
        (THREE, "1,1", ["1"]),
        # What stands behind the first that is none is hidden.
        (THREE, "0,-1,1", ["0"]),
        (THREE, "1,", ["1"]),
        (THREE, "0,3,1", ["0"]),
        (THREE, "0,x", ["0"]),
        *((THREE, hidden, []) for hidden in ("-1", "", " ", "-1,0", "-2", ",0", "NoDevFiles")),
        # A mistake is not a wish for the CPU.
        (THREE, "7", ["7"]),
        (THREE, "cuda:0,1", ["cuda:0"]),
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


@pytest.mark.parametrize(
    "chosen", ["2,0", "1, 2", "0,-1,1", "1,", "-1", "", ",0", "-2,1", "GPU-8a,GPU-9b", "MIG-1,MIG-2"]
)
def test_torch_reads_the_same_of_it(tmp_path, monkeypatch, chosen):
    (tmp_path / "dev").mkdir()
    for name in THREE:
        (tmp_path / "dev" / name).touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert machine.list_gpus(tmp_path) == [str(one) for one in torch.cuda._parse_visible_devices()]


@pytest.fixture
def host(tmp_path: Path, monkeypatch) -> Path:
    """The root folder of a host with two NVIDIA GPUs, one NVIDIA sound card and another vendor's display."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices = [("0x10de", "0x030200"), ("0x10de", "0x030000"), ("0x10de", "0x040300"), ("0x1013", "0x030000")]
    for number, (vendor, kind) in enumerate(devices):
        (folder := tmp_path / f"sys/bus/pci/devices/{number}").mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{kind}\n")
    return tmp_path


def test_a_host_whose_gpus_were_not_passed_on(host, monkeypatch):
    assert machine.count_unseen_gpus(host) == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert machine.count_unseen_gpus(host) == 0


def test_a_gpu_that_was_passed_on_and_a_host_without_one(host, tmp_path):
    (host / "dev").mkdir()
    (host / "dev/nvidia0").touch()
    assert machine.count_unseen_gpus(host) == 0
    assert machine.count_unseen_gpus(tmp_path / "absent") == 0


def test_the_self_test_fails_on_the_cpu_of_a_host_whose_gpus_it_does_not_see(monkeypatch):
    monkeypatch.setattr(machine, "count_unseen_gpus", lambda: 2)
    monkeypatch.setattr(sys, "argv", ["self_test"])
    self_test = runpy.run_path(str(Path(machine.__file__).parents[1] / "self_test"))
    assert self_test["main"]().startswith("self_test: this host has 2 NVIDIA GPU(s) that this container does not see")
