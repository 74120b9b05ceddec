"""ResNet18 as a table: its layers, under torchvision's names, the statistics and the sizes of its input.

Without torch, so that the server, launch/ and local/ start quickly.
"""

from collections.abc import Iterator
from typing import NamedTuple

ARCHITECTURE = "resnet18"
STEM = "conv1"
STAGES = ("layer1", "layer2", "layer3", "layer4")
HEAD = "fc"
# From input to output.
PARTS = (STEM, "bn1", *STAGES, HEAD)
CHANNELS = (64, 128, 256, 512)  # of each stage's outputs
FEATURES = CHANNELS[-1]  # inputs of the last layer
# Counts the steps of a normalisation, which nothing reads; torchvision's file lacks it.
COUNTER = "num_batches_tracked"
# The least and the most pixels on a side of an image.
IMAGE_SIZES = (32, 1024)
# The statistics of ImageNet's pixels, from 0 to 1, which the pretrained weights were made with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Convolution(NamedTuple):
    """A convolution without bias, padded by half its kernel, and the batch normalisation that follows it."""

    name: str
    weight: str  # the name of its module, which has the weight
    norm: str  # the name of the normalisation's module
    inputs: int
    outputs: int
    kernel: int
    stride: int

    @property
    def is_shortcut(self) -> bool:
        """Whether its result is only added to another, without a ReLU before."""
        return self.kernel == 1


def _list_convolutions() -> Iterator[Convolution]:
    yield Convolution(STEM, STEM, "bn1", 3, CHANNELS[0], 7, 2)
    inputs = CHANNELS[0]
    for stage, outputs in zip(STAGES, CHANNELS, strict=True):
        for block in (f"{stage}.0", f"{stage}.1"):
            stride = 1 if inputs == outputs else 2
            yield Convolution(f"{block}.conv1", f"{block}.conv1", f"{block}.bn1", inputs, outputs, 3, stride)
            yield Convolution(f"{block}.conv2", f"{block}.conv2", f"{block}.bn2", outputs, outputs, 3, 1)
            if inputs != outputs:
                name = f"{block}.downsample"
                yield Convolution(name, f"{name}.0", f"{name}.1", inputs, outputs, 1, stride)
            inputs = outputs


CONVOLUTIONS = {convolution.name: convolution for convolution in _list_convolutions()}
BLOCKS = tuple(f"{stage}.{block}" for stage in STAGES for block in (0, 1))


def list_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a ResNet18 with `classes` outputs, by its name in torchvision."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in CONVOLUTIONS.values():
        shapes[f"{layer.weight}.weight"] = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{layer.norm}.{name}"] = (layer.outputs,)
        shapes[f"{layer.norm}.{COUNTER}"] = ()
    return shapes | {f"{HEAD}.weight": (classes, FEATURES), f"{HEAD}.bias": (classes,)}
