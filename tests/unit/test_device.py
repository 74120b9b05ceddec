import warnings
from pathlib import Path

import pytest
import torch
from torch.distributed import DistBackendError

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


def test_the_reason_is_torchs_and_a_new_driver_is_not_blamed(system, monkeypatch):
    def is_available():
        warnings.warn(
            "CUDA initialization: system not yet initialized. (Triggered internally at x.cpp:1.)", stacklevel=1
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    write_file(system / "dev/nvidia0", "")
    write_file(system / "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.01")
    with pytest.raises(UserError) as error:
        device.choose_device(system)
    assert "driver 580.159.01 (CUDA initialization: system not yet initialized); accepted: " in str(error.value)
    assert "525" not in str(error.value)


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
        ("bf16", (8, 0), torch.bfloat16),
        ("fp16", (8, 6), torch.float16),
    ],
)
def test_precision_on_a_gpu(monkeypatch, precision, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert device.compute_dtype(precision, CUDA) == dtype


def test_bf16_is_refused_on_a_gpu_without_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    with pytest.raises(UserError, match="'bf16', which Tesla T4 lacks .* accepted: auto, fp16, fp32"):
        device.compute_dtype("bf16", CUDA)


# As libraries of the image say it: torch 2.10, cuBLAS 12.8, cuDNN 9.10 and NCCL 2.27.
NCCL = """NCCL error in: /pytorch/torch/csrc/c10d/NCCLUtils.cpp:94, unhandled cuda error, NCCL version 2.27.5
ncclUnhandledCudaError: Call to CUDA function failed.
Last error:
{}"""
CAPTURE = "CUDA error: operation failed due to a previous error during capture"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to\nallocate"), "CUDA out of memory. Tried to"),
        (torch.AcceleratorError("CUDA error: out of memory\nSearch for"), "CUDA error: out of memory"),
        (RuntimeError("CUDA driver error: out of memory"), "CUDA driver error: out of memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
        (
            RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
            "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        ),
        (DistBackendError(NCCL.format("Cuda failure 2 'out of memory'")), "Cuda failure 2 'out of memory'"),
        (DistBackendError(NCCL.format("Failed to CUDA calloc 6291456 bytes")), "Failed to CUDA calloc 6291456 bytes"),
        (DistBackendError(NCCL.format("Failed to CUDA calloc async 8 bytes")), "Failed to CUDA calloc async 8 bytes"),
        (DistBackendError(NCCL.format("Cuda failure 719 'unspecified launch failure'")), None),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), None),
        (torch.AcceleratorError(CAPTURE), None),
        (RuntimeError(), None),
    ],
)
def test_the_gpus_memory_may_run_out_in_several_ways(error, line):
    assert device.out_of_memory(error) == line


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("another")])
def test_the_memory_that_ended_a_capture_is_named(error):
    """As torch.cuda.graph does: what ends it is raised while its first error is on its way."""
    with pytest.raises(torch.AcceleratorError) as said:
        try:
            raise error
        finally:
            raise torch.AcceleratorError(CAPTURE)
    is_memory = isinstance(error, torch.OutOfMemoryError)
    assert device.out_of_memory(said.value) == ("CUDA out of memory." if is_memory else None)


@pytest.mark.parametrize("ooms", [0, 3])
def test_where_no_plan_could_run_memory_is_blamed_only_if_it_ran_out(monkeypatch, ooms):
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda: {"num_ooms": ooms})
    error = RuntimeError("GET was unable to find an engine to execute this computation")
    assert device.out_of_memory(error) == (str(error) if ooms else None)


@pytest.mark.parametrize("native", [True, False])
def test_a_cpu_takes_bf16_where_it_has_instructions_for_it(monkeypatch, native):
    monkeypatch.setattr(device, "_has_bf16", lambda: native)
    assert device.compute_dtype("auto", CPU) == (torch.bfloat16 if native else torch.float32)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_name_of_a_precision(precision):
    assert device.name_precision(device.compute_dtype(precision, CPU)) == precision


@pytest.mark.parametrize(
    ("capability", "dtypes"), [((7, 5), (torch.float16, torch.float32)), ((8, 0), (torch.float16, torch.bfloat16))]
)
def test_a_gpu_serves_in_fp16_if_the_network_fits(monkeypatch, capability, dtypes):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert device.serving_dtypes("auto", CUDA) == dtypes
    assert device.serving_dtypes("fp32", CUDA) == (torch.float32,)
