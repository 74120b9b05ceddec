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


@pytest.mark.parametrize("native", [True, False])
def test_a_cpu_takes_bf16_where_it_has_instructions_for_it(monkeypatch, native):
    monkeypatch.setattr(device, "_has_bf16", lambda: native)
    assert device.compute_dtype("auto", CPU) == (torch.bfloat16 if native else torch.float32)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_name_of_a_precision(precision):
    assert device.name_precision(device.compute_dtype(precision, CPU)) == precision
