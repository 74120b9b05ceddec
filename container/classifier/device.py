"""The machine: its device, its cores, and the precisions that it supports."""

import math
import os
import warnings
from pathlib import Path

import torch

from classifier.errors import UserError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *_DTYPES)
OLDEST_DRIVER = 525
INFERENCE_AMI = "al2-ami-sagemaker-inference-gpu-3-1"


def choose_device(system: Path = Path("/")) -> torch.device:
    """Return the GPU if there is one, else the CPU.

    Raises UserError if the machine has a GPU that cannot be used: it would be paid for and idle.
    """
    with warnings.catch_warnings():  # torch warns about an old driver; the error below says what to do
        warnings.simplefilter("ignore")
        if torch.cuda.is_available():
            return torch.device("cuda")
    present = any((system / "dev").glob("nvidia[0-9]*"))
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if present and not hidden:
        raise UserError(
            f"this machine has a GPU, but CUDA {torch.version.cuda} cannot use it with NVIDIA driver "
            f"{_driver_version(system)}; needed: {OLDEST_DRIVER} or newer (on a SageMaker endpoint set "
            f"InferenceAmiVersion={INFERENCE_AMI}), or CUDA_VISIBLE_DEVICES=-1 to use the CPU"
        )
    return torch.device("cpu")


def describe(device: torch.device) -> str:
    """Return the device's name for logs and reports, such as "cuda (Tesla T4)"."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def usable_cores(system: Path = Path("/")) -> int:
    """Return how many CPU cores this process may use, by its affinity and its cgroup's limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cgroup_cores(system))))


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products for a `precision` of PRECISIONS.

    auto is bf16 on GPUs that have it natively (compute capability 8 and up) and on CPUs with instructions for it, fp16
    on older GPUs such as T4 and V100, and fp32 on other CPUs.
    """
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    return torch.bfloat16 if _is_supported(torch.bfloat16) and _has_bf16_instructions() else torch.float32


def serving_precision(wanted: str, device: torch.device) -> str:
    """Return the precision of PRECISIONS, other than auto, to serve in on `device`; auto is resolved as for training.

    Raises UserError if the processor does not support the precision.
    """
    if wanted == "auto":
        return next(name for name, dtype in _DTYPES.items() if dtype == compute_dtype(wanted, device))
    if device.type == "cpu" and not _is_supported(_DTYPES[wanted]):
        accepted = ", ".join(name for name, dtype in _DTYPES.items() if _is_supported(dtype))
        raise UserError(f"precision {wanted!r} is not supported by this processor; accepted: auto, {accepted}")
    return wanted


def _is_supported(dtype: torch.dtype) -> bool:
    """Return whether oneDNN has kernels of this dtype for this processor."""
    if dtype == torch.float32 or not torch.backends.mkldnn.is_available():
        return dtype == torch.float32
    onednn = torch.ops.mkldnn
    return onednn._is_mkldnn_bf16_supported() if dtype == torch.bfloat16 else onednn._is_mkldnn_fp16_supported()


def _has_bf16_instructions() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _cgroup_cores(system: Path) -> float:
    group = system / "sys" / "fs" / "cgroup"
    for quota_file, period_file in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            text = (group / quota_file).read_text() + (f" {(group / period_file).read_text()}" if period_file else "")
            quota, period = text.split()
            if quota not in ("max", "-1"):
                return int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return math.inf


def _driver_version(system: Path) -> str:
    try:
        words = (system / "proc/driver/nvidia/version").read_text().split()
    except OSError:
        return "of an unknown version"
    return next((word for word in words if word.split(".")[0].isdigit() and "." in word), "of an unknown version")
