"""The network in int8, for CPUs: its convolutions multiply bytes, by oneDNN's operators.

Activations are quantised to 127 levels between 0 and the calibrated maximum, and weights to 127 levels on either side
of 0. 8 bits would allow twice as many, but a processor without AVX-512's VNNI adds two products in 16 bits, which would
overflow. With 127 every processor computes the same sums, so that training's measurements hold on all of them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from classifier.artifact import Quantization
from classifier.errors import UserError
from classifier.fused import Folded, FusedNetwork, OneDNN, Stages
from classifier.layers import STEM
from classifier.network import ResNet18

PRECISION = "int8"
# "auto" takes int8 only if it loses less than this share of the validation images.
MOST_ACCURACY_LOST = 0.003
STEPS = 127
# A result that is only added, and never multiplied, may use all 8 bits.
ADDED_STEPS = 255


class Steps(NamedTuple):
    """Quantised activations: a uint8 value v stands for (v - zero) * size."""

    values: Tensor
    size: float
    zero: int


class Int8:
    """A convolution whose results are between `low` and `high`; `shortcut` is overwritten by the result."""

    def __init__(self, folded: Folded, low: float, high: float):
        self.size = (high - low) / (STEPS if folded.relu else ADDED_STEPS) or 1.0
        self.zero = round(-low / self.size)
        self.scales = (folded.weight.abs().amax((1, 2, 3)) / STEPS).clamp_min(torch.finfo(torch.float32).tiny)
        weight = (folded.weight / self.scales[:, None, None, None]).round().to(torch.int8)
        self.geometry = (folded.stride, folded.padding, (1, 1), 1)
        self.weight = torch.ops.onednn.qconv_prepack(weight, self.scales, 1.0, 0, *self.geometry, folded.input_shape)
        self.weight_zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.bias = folded.bias
        self.activation = "relu" if folded.relu else "none"

    def __call__(self, x: Steps, shortcut: Steps | None = None) -> Steps:
        inputs = (x.values, x.size, x.zero, self.weight, self.scales, self.weight_zeros)
        output = (self.bias, *self.geometry, self.size, self.zero, torch.uint8)
        if shortcut is None:
            values = torch.ops.onednn.qconv2d_pointwise(*inputs, *output, self.activation, [], "")
        else:
            added = (shortcut.size, shortcut.zero, "sum", 1.0, self.activation, [], "")
            values = torch.ops.onednn.qconv2d_pointwise(*inputs, shortcut.values, *output, *added)
        return Steps(values, self.size, self.zero)


class QuantizedStages:
    """The residual blocks in int8, with float activations before and after them."""

    def __init__(self, model: ResNet18, size: int, ranges: Mapping[str, tuple[float, float]]):
        self.stages = Stages(model, size, lambda folded: Int8(folded, *ranges[folded.name]))
        self.size = ranges[STEM][1] / STEPS or 1.0

    def __call__(self, x: Tensor) -> Tensor:
        values = x.float().mul_(1 / self.size).round_().clamp_max_(STEPS).to(torch.uint8)
        result = self.stages(Steps(values, self.size, 0))
        return result.values * result.size


def quantize(model: ResNet18, size: int, ranges: Mapping[str, tuple[float, float]], dtype: torch.dtype) -> FusedNetwork:
    """Prepare `model`, in evaluation mode, in int8, with the calibrated `ranges` of its convolutions' results.

    The first convolution stays in `dtype`: int8 gains nothing on its three input channels.
    """
    stages = QuantizedStages(model, size, ranges)
    return FusedNetwork(model, size, lambda folded: OneDNN(folded, dtype), dtype, stages)


class Observed(OneDNN):
    """A convolution in fp32 that widens its range in `ranges` to include each of its results."""

    def __init__(self, folded: Folded, ranges: dict[str, tuple[float, float]]):
        super().__init__(folded, torch.float32)
        self.name, self.ranges = folded.name, ranges

    def __call__(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        result = super().__call__(x, shortcut)
        low, high = self.ranges.get(self.name, (0.0, 0.0))
        self.ranges[self.name] = min(low, result.min().item()), max(high, result.max().item())
        return result


def observe(model: ResNet18, size: int) -> tuple[FusedNetwork, dict[str, tuple[float, float]]]:
    """Return `model`, in evaluation mode, prepared in fp32, and a dict that collects each convolution's output range.

    The dict maps names to (lowest, highest) over all images that the network has classified since.
    """
    ranges: dict[str, tuple[float, float]] = {}
    return FusedNetwork(model, size, lambda folded: Observed(folded, ranges), torch.float32), ranges


def is_possible(device: torch.device) -> bool:
    """Return whether this machine's int8 kernels are faster than the others."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.cpu._is_avx2_supported()


def choose(wanted: str, device: torch.device, measured: Quantization | None) -> Quantization | None:
    """Return `measured` if the precision `wanted` means int8 on `device` for the artifact it is of, else None.

    Raises UserError if int8 was requested but cannot be used.
    """
    if wanted == PRECISION:
        if not is_possible(device):
            raise UserError("precision 'int8' is for processors with AVX2; accepted here: auto, fp32, bf16, fp16")
        if not measured:
            sentence = "precision 'int8' needs an artifact with a quantization, which training measures on a processor"
            raise UserError(f"{sentence} with AVX2; accepted for this one: auto, fp32, bf16, fp16")
        return measured
    little = measured is not None and measured.accuracy_lost < MOST_ACCURACY_LOST
    return measured if wanted == "auto" and little and is_possible(device) else None
