"""The network as it is served: each batch normalisation folded into its convolution, with what follows it.

After torch.nn.utils.fusion has folded them, a block is two convolutions; on the CPU oneDNN adds the shortcut and
applies the ReLU while it still holds their output in registers, and takes weights in the order that its kernels read.
These are the operators that torch.compile would call, without the compiler that it needs.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from classifier.layers import STAGES, STEM
from classifier.network import BasicBlock, ResNet18

# A convolution of the network: called with its input and, where a shortcut is added, with that.
Convolution = Callable[..., torch.Tensor]


class Folded(NamedTuple):
    """A convolution into which the batch normalisation behind it was folded; `relu` where a ReLU follows.

    Its input has height and width `side`, which oneDNN chooses the order of the weights by.
    """

    name: str
    weight: torch.Tensor
    bias: torch.Tensor
    stride: tuple[int, int]
    padding: tuple[int, int]
    side: int
    relu: bool

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Of a lone image's input."""
        return (1, self.weight.shape[1], self.side, self.side)


class Plain:
    """By torch's own operators: for GPUs, and for processors without oneDNN."""

    def __init__(self, folded: Folded, dtype: torch.dtype):
        self.folded = folded
        self.weight = folded.weight.to(dtype, memory_format=torch.channels_last)
        self.bias = folded.bias.to(dtype)

    def __call__(self, x: torch.Tensor, shortcut: torch.Tensor | None = None) -> torch.Tensor:
        x = functional.conv2d(x, self.weight, self.bias, self.folded.stride, self.folded.padding)
        if shortcut is not None:
            x += shortcut
        return x.relu_() if self.folded.relu else x


class OneDNN:
    """By oneDNN's fused operators; `shortcut` is overwritten by the result.

    The order of the weights is the best for torch's number of threads now; with another, they may be put into another
    order at every call.
    """

    def __init__(self, folded: Folded, dtype: torch.dtype):
        weight = folded.weight.to(dtype, memory_format=torch.channels_last)
        geometry = (folded.padding, folded.stride, (1, 1), 1)
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, folded.input_shape)
        self.bias = folded.bias.to(dtype)
        self.geometry = geometry
        self.activation = "relu" if folded.relu else "none"

    def __call__(self, x: torch.Tensor, shortcut: torch.Tensor | None = None) -> torch.Tensor:
        operands = (x, self.weight, self.bias, *self.geometry)
        if shortcut is None:
            return torch.ops.mkldnn._convolution_pointwise(*operands, self.activation, [], "")
        return torch.ops.mkldnn._convolution_pointwise_(shortcut, *operands, "add", 1.0, self.activation, [], "")


class FusedNetwork:
    """A ResNet18 for inference alone: normalised float32 (n, 3, size, size), channels last, to float32 logits."""

    def __init__(self, model: ResNet18, size: int, convolution: Callable[[Folded], Convolution], dtype: torch.dtype):
        self.dtype = dtype
        self.stem = convolution(_fold(STEM, model.conv1, model.bn1, size))
        self.pool = model.maxpool
        self.blocks = []
        side = _halved(_halved(size))
        for stage in STAGES:
            for i, block in enumerate(getattr(model, stage)):
                self.blocks.append(_Block(f"{stage}.{i}", block, side, convolution))
                side = _halved(side) if block.downsample else side
        self.head = model.fc

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(self.pool(self.stem(x.to(self.dtype))))
        return self.head(x.float().mean((2, 3)))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the blocks make of the first convolution's output, (n, 512, size / 32, size / 32)."""
        for block in self.blocks:
            x = block(x)
        return x


class _Block:
    def __init__(self, name: str, block: BasicBlock, side: int, convolution: Callable[[Folded], Convolution]):
        inside = side if block.conv1.stride == (1, 1) else _halved(side)
        self.conv1 = convolution(_fold(f"{name}.conv1", block.conv1, block.bn1, side))
        self.conv2 = convolution(_fold(f"{name}.conv2", block.conv2, block.bn2, inside))
        shortcut = block.downsample and _fold(f"{name}.downsample", *block.downsample, side, relu=False)
        self.downsample = convolution(shortcut) if shortcut else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.downsample(x) if self.downsample else x
        return self.conv2(self.conv1(x), shortcut)


def fuse(model: ResNet18, size: int, dtype: torch.dtype, device: torch.device) -> FusedNetwork:
    """`model`, in evaluation mode and on the CPU, prepared for `device`, `dtype` and torch's number of threads."""
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        return FusedNetwork(model, size, lambda folded: OneDNN(folded, dtype), dtype)
    return FusedNetwork(model.to(device), size, lambda folded: Plain(folded, dtype), dtype)


def _fold(name: str, convolution: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d, side: int, relu: bool = True) -> Folded:
    folded = fuse_conv_bn_eval(convolution, norm)
    return Folded(name, folded.weight.detach(), folded.bias.detach(), folded.stride, folded.padding, side, relu)


def _halved(side: int) -> int:
    """What a convolution or pooling with stride 2 leaves of `side` here, where each pads by half its kernel."""
    return -(-side // 2)
