"""ResNet18: the one architecture, and what its input looks like."""

from collections.abc import Sequence
from functools import partial

import torch
import torchvision

ARCHITECTURE = "resnet18"
# The statistics of ImageNet, which the pretrained weights were made with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def build(classes: int, eps: float) -> torch.nn.Module:
    """A randomly initialised ResNet18 with `classes` outputs; `eps` in every batch normalisation layer."""
    return torchvision.models.resnet18(num_classes=classes, norm_layer=partial(torch.nn.BatchNorm2d, eps=eps))


class Normalize(torch.nn.Module):
    """uint8 pixels (n, height, width, 3) to the network's float32 input (n, 3, height, width).

    The result keeps the pixels' order in memory, which is torch.channels_last.
    """

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean) * 255)
        self.register_buffer("std", torch.tensor(std) * 255)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return ((pixels.float() - self.mean) / self.std).permute(0, 3, 1, 2)
