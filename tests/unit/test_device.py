import os
from pathlib import Path

import pytest
import torch

from classifier import device
from classifier.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root folder of a machine without a GPU and without limits."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "dev").mkdir()
    return tmp_path


def write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_machine_without_a_gpu(system):
    assert device.choose_device(system) == CPU
    assert device.describe(CPU) == "cpu"


def test_a_machine_with_a_gpu(system, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose_device(system) == CUDA


def test_a_gpu_that_cannot_be_used(system):
    write_file(system / "dev/nvidia0", "")
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024\nGCC version:"
    write_file(system / "proc/driver/nvidia/version", version)
    with pytest.raises(UserError) as error:
        device.choose_device(system)
    for part in (f"CUDA {torch.version.cuda}", "driver 470.256.02;", "525 or newer", "InferenceAmiVersion=al2-ami"):
        assert part in str(error.value)


def test_an_unknown_driver(system):
    write_file(system / "dev/nvidia0", "")
    with pytest.raises(UserError, match="NVIDIA driver of an unknown version"):
        device.choose_device(system)


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_not_used(system, monkeypatch, hidden):
    write_file(system / "dev/nvidia0", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert device.choose_device(system) == CPU


def test_the_control_device_alone_is_not_a_gpu(system):
    write_file(system / "dev/nvidiactl", "")
    write_file(system / "dev/nvidia-uvm", "")
    assert device.choose_device(system) == CPU


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
def test_usable_cores(system, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        write_file(system / "sys/fs/cgroup" / name, text)
    assert device.usable_cores(system) == cores


@pytest.mark.parametrize(
    ("precision", "capability", "dtype"),
    [
        ("auto", (7, 5), torch.float16),  # T4
        ("auto", (7, 0), torch.float16),  # V100
        ("auto", (8, 6), torch.bfloat16),  # A10G
        ("auto", (9, 0), torch.bfloat16),  # H100
        ("fp32", (8, 6), torch.float32),
        ("bf16", (7, 5), torch.bfloat16),
        ("fp16", (8, 6), torch.float16),
    ],
)
def test_precision_on_a_gpu(monkeypatch, precision, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert device.compute_dtype(precision, CUDA) == dtype


@pytest.mark.parametrize(
    ("kernels", "instructions", "precision"),
    [(True, True, "bf16"), (True, False, "fp32"), (False, True, "fp32"), (False, False, "fp32")],
)
def test_a_cpu_takes_bf16_where_it_has_instructions_for_it(monkeypatch, kernels, instructions, precision):
    monkeypatch.setattr(device, "_is_supported", lambda dtype: kernels or dtype == torch.float32)
    monkeypatch.setattr(device, "_has_bf16_instructions", lambda: instructions)
    assert device.serving_precision("auto", CPU) == precision
    assert device.compute_dtype("auto", CPU) == device.compute_dtype(precision, CPU)


def test_serving_takes_what_a_gpu_is_good_at(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert device.serving_precision("auto", CUDA) == "fp16"
    assert device.serving_precision("fp32", CUDA) == "fp32"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    assert device.serving_precision("auto", CUDA) == "bf16"


def test_a_precision_that_the_processor_does_not_support(monkeypatch):
    monkeypatch.setattr(device, "_is_supported", lambda dtype: dtype == torch.float32)
    with pytest.raises(UserError, match="precision 'bf16' is not supported by this processor; accepted: auto, fp32$"):
        device.serving_precision("bf16", CPU)
    assert device.serving_precision("fp32", CPU) == "fp32"
