"""The device to compute on with torch, and its precisions."""

import re
import warnings
from pathlib import Path

import torch

from classifier.errors import UserError
from classifier.machine import has_gpu

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *_DTYPES)
OLDEST_DRIVER = 525
INFERENCE_AMI = "al2-ami-sagemaker-inference-gpu-3-1"
# What CUDA's runtime and driver, cuBLAS, cuDNN 9 and NCCL say.
MEMORY_RAN_OUT = re.compile(
    "CUDA (driver )?error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
    "|CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"
    "|Cuda failure .*'out of memory'|Failed to CUDA (calloc|malloc)"
)
# What torch says when no plan of cuDNN's could run, whatever the reason.
NO_PLAN = "unable to find an engine"


def choose_device(system: Path = Path("/")) -> torch.device:
    """Return the GPU if there is one, else the CPU.

    Raises UserError if the machine has a GPU that cannot be used: it would be paid for and idle.
    """
    with warnings.catch_warnings(record=True) as said:  # torch's reason; the error below says what to do
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return torch.device("cuda")
    if has_gpu(system):
        raise UserError(_why_unusable(system, [str(warning.message) for warning in said]))
    return torch.device("cpu")


def _why_unusable(system: Path, said: list[str]) -> str:
    """Return the sentence on a GPU that cannot be used, with what torch has `said` of it."""
    version, needed = _driver_version(system), ""
    reason = " ".join(" ".join(said).partition("(Triggered internally")[0].split()).rstrip(".")
    if version and int(version.split(".")[0]) < OLDEST_DRIVER:
        needed = f"{OLDEST_DRIVER} or newer (on a SageMaker endpoint set InferenceAmiVersion={INFERENCE_AMI}), or "
    return (
        f"this machine has a GPU, but CUDA {torch.version.cuda} cannot use it with NVIDIA driver "
        f"{version or 'of an unknown version'}{f' ({reason})' if reason else ''}; accepted: "
        f"{needed or 'a GPU and a driver that work, as nvidia-smi shows, or '}CUDA_VISIBLE_DEVICES=-1 to use the CPU"
    )


def out_of_memory(error: BaseException | None) -> str | None:
    """Return the line in which `error`, or one that led to it, says that the GPU's memory ran out; None if none does.

    A CUDA graph's capture that memory ended, for example, ends in another error.
    """
    while error is not None:
        for line in str(error).splitlines():
            if isinstance(error, torch.OutOfMemoryError) or MEMORY_RAN_OUT.search(line):
                return line
            if NO_PLAN in line and torch.cuda.memory_stats().get("num_ooms"):  # torch tried the next plan each time
                return line
        error = error.__cause__ or error.__context__
    return None


def describe(device: torch.device) -> str:
    """Return the device's name for logs and reports, such as "cuda (Tesla T4)"."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products for a `precision` of PRECISIONS. Raises UserError for bf16 on an older GPU.

    auto is bf16 on GPUs that have it natively (compute capability 8 and up) and on CPUs with instructions for it, fp16
    on older GPUs such as T4 and V100, and fp32 on other CPUs.
    """
    if device.type == "cuda":
        has_bf16 = _gpu_has_bf16(device)
        if precision == "bf16" and not has_bf16:
            raise UserError(
                f"precision is 'bf16', which {torch.cuda.get_device_name(device)} lacks (compute capability below "
                "8.0); accepted: auto, fp16, fp32"
            )
        if precision == "auto":
            return torch.bfloat16 if has_bf16 else torch.float16
    if precision != "auto":
        return _DTYPES[precision]
    return torch.bfloat16 if _has_bf16() else torch.float32


def serving_dtypes(precision: str, device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the dtypes to serve in for a `precision` of PRECISIONS: the first that the network's values fit.

    On a GPU auto is fp16, which rounds an eighth as much as bf16 and is as fast. Raises UserError as compute_dtype().
    """
    if precision != "auto" or device.type != "cuda":
        return (compute_dtype(precision, device),)
    return (torch.float16, torch.bfloat16 if _gpu_has_bf16(device) else torch.float32)


def name_precision(dtype: torch.dtype) -> str:
    """Return the name of `dtype` among PRECISIONS."""
    return next(name for name, one in _DTYPES.items() if one == dtype)


def _gpu_has_bf16(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _has_bf16() -> bool:
    """Return whether oneDNN has bf16 kernels for this processor, and the processor instructions for them."""
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _driver_version(system: Path) -> str | None:
    try:
        words = (system / "proc/driver/nvidia/version").read_text().split()
    except OSError:
        return None
    return next((word for word in words if word.split(".")[0].isdigit() and "." in word), None)
