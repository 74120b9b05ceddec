"""The network in int8, for processors: its convolutions multiply bytes, by oneDNN's operators.

What a convolution puts out is rounded to 127 steps between nothing and the most that was measured, and a weight to 127
steps to either side. 8 bits would allow twice as many, but a processor without AVX-512's VNNI adds two products in 16
bits, where those would not fit. So every processor comes to the same sums, and what training measured is true of all.
"""

from typing import NamedTuple

import torch

from classifier.artifact import Quantization
from classifier.errors import UserError
from classifier.fused import Folded, FusedNetwork, OneDNN
from classifier.layers import STEM
from classifier.network import ResNet18

PRECISION = "int8"
# Of the validation images, the part that int8 may lose and is still taken by itself.
MOST_ACCURACY_LOST = 0.003
STEPS = 127
# What is only added, and never multiplied, has room for more.
ADDED_STEPS = 255

Ranges = dict[str, tuple[float, float]]


class Steps(NamedTuple):
    """uint8 values, each of which stands for `size` times its distance from `zero`."""

    values: torch.Tensor
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


class QuantizedNetwork(FusedNetwork):
    """As FusedNetwork; the first convolution, whose three inputs leave nothing to gain, stays as it is in `dtype`."""

    def __init__(self, model: ResNet18, size: int, ranges: Ranges, dtype: torch.dtype):
        def convolution(folded: Folded) -> OneDNN | Int8:
            return OneDNN(folded, dtype) if folded.name == STEM else Int8(folded, *ranges[folded.name])

        super().__init__(model, size, convolution, dtype)
        self.size = ranges[STEM][1] / STEPS or 1.0

    def features(self, x: torch.Tensor) -> torch.Tensor:
        values = x.float().mul_(1 / self.size).round_().clamp_max_(STEPS).to(torch.uint8)
        result = super().features(Steps(values, self.size, 0))
        return result.values * result.size


class Observed(OneDNN):
    """A convolution in fp32 that widens its range in `ranges` to what it puts out."""

    def __init__(self, folded: Folded, ranges: Ranges):
        super().__init__(folded, torch.float32)
        self.name, self.ranges = folded.name, ranges

    def __call__(self, x: torch.Tensor, shortcut: torch.Tensor | None = None) -> torch.Tensor:
        result = super().__call__(x, shortcut)
        low, high = self.ranges.get(self.name, (0.0, 0.0))
        self.ranges[self.name] = min(low, result.min().item()), max(high, result.max().item())
        return result


def observe(model: ResNet18, size: int) -> tuple[FusedNetwork, Ranges]:
    """`model`, in evaluation mode, in fp32, and the ranges of its convolutions in all that it will have answered."""
    ranges: Ranges = {}
    return FusedNetwork(model, size, lambda folded: Observed(folded, ranges), torch.float32), ranges


def is_possible(device: torch.device) -> bool:
    """Whether this machine's kernels for int8 are faster than others."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.cpu._is_avx2_supported()


def is_chosen(wanted: str, device: torch.device, measured: Quantization | None) -> bool:
    """Whether the precision `wanted` comes to int8, for an artifact of which this was `measured`.

    Raises UserError where it is demanded in vain.
    """
    if wanted == PRECISION and not is_possible(device):
        raise UserError("precision 'int8' is for processors with AVX2; accepted here: auto, fp32, bf16, fp16")
    if wanted == PRECISION and not measured:
        sentence = "precision 'int8' needs an artifact with a quantization, which training measures on a processor"
        raise UserError(f"{sentence} with AVX2; accepted for this one: auto, fp32, bf16, fp16")
    little = measured is not None and measured.accuracy_lost < MOST_ACCURACY_LOST
    return wanted == PRECISION or (wanted == "auto" and little and is_possible(device))
