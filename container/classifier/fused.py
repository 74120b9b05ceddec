"""The network as it is served: each batch normalisation is folded into the convolution before it.

torch.nn.utils.fusion folds them, so that a block is two convolutions. On the CPU oneDNN adds the shortcut and applies
the ReLU while it still holds a convolution's output in registers, and takes the weights in the order that its kernels
read. These are the operators that torch.compile would call, without the compiler that it needs.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from classifier.layers import STAGES, STEM
from classifier.network import BasicBlock, ResNet18

# A tensor, or another form of activations.
X = TypeVar("X")


class Convolution(Protocol[X]):
    """Called with the input and, if a shortcut is added to the output, with that; it may overwrite the shortcut."""

    def __call__(self, x: X, shortcut: X | None = None, /) -> X: ...


class Folded(NamedTuple):
    """A convolution with its batch normalisation folded in; `relu` says whether a ReLU follows.

    Its input has height and width `side`, by which oneDNN chooses the order of the weights.
    """

    name: str
    weight: Tensor
    bias: Tensor
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    side: int
    relu: bool

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """The shape of the input for one image."""
        return (1, self.weight.shape[1], self.side, self.side)


class Plain:
    """A convolution by torch's own operators, for GPUs and for processors without oneDNN."""

    def __init__(self, folded: Folded, dtype: torch.dtype):
        self.folded = folded
        self.weight = folded.weight.to(dtype, memory_format=torch.channels_last)
        self.bias = folded.bias.to(dtype)

    def __call__(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        x = functional.conv2d(x, self.weight, self.bias, self.folded.stride, self.folded.padding)
        if shortcut is not None:
            x += shortcut
        return x.relu_() if self.folded.relu else x


class OneDNN:
    """A convolution by oneDNN's fused operators; `shortcut` is overwritten by the result.

    The order of the weights is the best for torch's number of threads at construction; with another number, oneDNN may
    reorder them at every call.
    """

    def __init__(self, folded: Folded, dtype: torch.dtype):
        weight = folded.weight.to(dtype, memory_format=torch.channels_last)
        geometry = (folded.padding, folded.stride, (1, 1), 1)
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, folded.input_shape)
        self.bias = folded.bias.to(dtype)
        self.geometry = geometry
        self.activation = "relu" if folded.relu else "none"

    def __call__(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        operands = (x, self.weight, self.bias, *self.geometry)
        if shortcut is None:
            return torch.ops.mkldnn._convolution_pointwise(*operands, self.activation, [], "")
        return torch.ops.mkldnn._convolution_pointwise_(shortcut, *operands, "add", 1.0, self.activation, [], "")


class Stages(Generic[X]):
    """The residual blocks of a ResNet18: (n, 64, size / 4, size / 4) to (n, 512, size / 32, size / 32)."""

    def __init__(self, model: ResNet18, size: int, convolution: Callable[[Folded], Convolution[X]]):
        self.blocks: list[_Block[X]] = []
        side = _half(_half(size))
        for stage in STAGES:
            for i, block in enumerate(getattr(model, stage)):
                self.blocks.append(_Block(f"{stage}.{i}", block, side, convolution))
                side = _half(side) if block.downsample else side

    def __call__(self, x: X) -> X:
        for block in self.blocks:
            x = block(x)
        return x


class FusedNetwork:
    """A ResNet18 for inference only: normalised float32 (n, 3, size, size), channels last, to float32 logits.

    `convolution` makes each convolution, and computes in `dtype`; `stages`, if given, are used instead of its own.
    """

    def __init__(
        self,
        model: ResNet18,
        size: int,
        convolution: Callable[[Folded], Convolution[Tensor]],
        dtype: torch.dtype,
        stages: Callable[[Tensor], Tensor] | None = None,
    ):
        self.dtype = dtype
        self.stem = convolution(_fold(STEM, model.conv1, model.bn1, size))
        self.pool = model.maxpool
        self.stages = stages or Stages(model, size, convolution)
        self.head = model.fc

    def __call__(self, x: Tensor) -> Tensor:
        x = self.stages(self.pool(self.stem(x.to(self.dtype))))
        return self.head(x.float().mean((2, 3)))


class _Block(Generic[X]):
    def __init__(self, name: str, block: BasicBlock, side: int, convolution: Callable[[Folded], Convolution[X]]):
        inside = side if block.conv1.stride == (1, 1) else _half(side)
        self.conv1 = convolution(_fold(f"{name}.conv1", block.conv1, block.bn1, side))
        self.conv2 = convolution(_fold(f"{name}.conv2", block.conv2, block.bn2, inside))
        self.downsample = None
        if block.downsample:
            resize, norm = block.downsample
            assert isinstance(resize, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            self.downsample = convolution(_fold(f"{name}.downsample", resize, norm, side, relu=False))

    def __call__(self, x: X) -> X:
        shortcut = self.downsample(x) if self.downsample else x
        return self.conv2(self.conv1(x), shortcut)


def fuse(model: ResNet18, size: int, dtype: torch.dtype, device: torch.device) -> FusedNetwork:
    """Prepare `model`, in evaluation mode and on the CPU, for `device`, `dtype` and torch's number of threads."""
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        return FusedNetwork(model, size, lambda folded: OneDNN(folded, dtype), dtype)
    return FusedNetwork(model.to(device), size, lambda folded: Plain(folded, dtype), dtype)


def _fold(name: str, convolution: nn.Conv2d, norm: nn.BatchNorm2d, side: int, relu: bool = True) -> Folded:
    folded = fuse_conv_bn_eval(convolution, norm)
    assert folded.bias is not None  # the normalisation's
    return Folded(name, folded.weight.detach(), folded.bias.detach(), folded.stride, folded.padding, side, relu)


def _half(side: int) -> int:
    """Return the side after a convolution or pooling with stride 2, each of which pads by half its kernel."""
    return -(-side // 2)
