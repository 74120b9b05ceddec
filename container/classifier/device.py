"""The device to compute on with torch, and its precisions."""

import warnings
from pathlib import Path

import torch

from classifier.errors import UserError
from classifier.machine import has_gpu

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
    if has_gpu(system):
        raise UserError(
            f"this machine has a GPU, but CUDA {torch.version.cuda} cannot use it with NVIDIA driver "
            f"{_driver_version(system)}; needed: {OLDEST_DRIVER} or newer (on a SageMaker endpoint set "
            f"InferenceAmiVersion={INFERENCE_AMI}), or CUDA_VISIBLE_DEVICES=-1 to use the CPU"
        )
    return torch.device("cpu")


def describe(device: torch.device) -> str:
    """Return the device's name for logs and reports, such as "cuda (Tesla T4)"."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products for a `precision` of PRECISIONS.

    auto is bf16 on GPUs that have it natively (compute capability 8 and up) and on CPUs with instructions for it, fp16
    on older GPUs such as T4 and V100, and fp32 on other CPUs.
    """
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    return torch.bfloat16 if _has_bf16() else torch.float32


def name_precision(dtype: torch.dtype) -> str:
    """Return the name of `dtype` among PRECISIONS."""
    return next(name for name, one in _DTYPES.items() if one == dtype)


def _has_bf16() -> bool:
    """Return whether oneDNN has bf16 kernels for this processor, and the processor instructions for them."""
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _driver_version(system: Path) -> str:
    try:
        words = (system / "proc/driver/nvidia/version").read_text().split()
    except OSError:
        return "of an unknown version"
    return next((word for word in words if word.split(".")[0].isdigit() and "." in word), "of an unknown version")
