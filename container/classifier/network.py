"""ResNet18, the one architecture, and the normalisation of its input.

The layers and their names are torchvision's, so that its weights load here, and ours there. They are written out, since
importing torchvision takes as long as importing torch, and a server needs nothing else of it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from classifier.artifact import Artifact
from classifier.layers import FEATURES, MEAN, STD


def build(classes: int, eps: float) -> "ResNet18":
    """Return a randomly initialised ResNet18 with `classes` outputs and this `eps` in all batch normalisation."""
    return ResNet18(classes, partial(nn.BatchNorm2d, eps=eps))


def build_empty(classes: int, eps: float) -> "ResNet18":
    """Return a ResNet18 on device "meta": its tensors have shapes and no values, and take neither time nor memory."""
    with torch.device("meta"), _NoRandomWeights():
        return build(classes, eps)


def load(about: Artifact, weights: Mapping[str, np.ndarray]) -> "ResNet18":
    """Return the network of an artifact with these `weights`, in evaluation mode and on the CPU."""
    model = build_empty(len(about.classes), about.eps).eval()
    model.load_state_dict(as_tensors(weights), assign=True)
    return model


def as_tensors(weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.tensor(values) for name, values in weights.items()}


class _NoRandomWeights(TorchFunctionMode):
    """Skips the random initialisation: on "meta" it has no effect, but torch would import half of torch.compile."""

    DRAWING = (nn.init.kaiming_uniform_, nn.init.uniform_, Tensor.normal_)

    def __torch_function__(self, function, types, arguments=(), options=None):
        return None if function in self.DRAWING else function(*arguments, **(options or {}))


class BasicBlock(nn.Module):
    """Two convolutions of 3 x 3, with their input added to their output."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.BatchNorm2d]):
        super().__init__()
        resized = stride != 1 or inputs != outputs
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs)) if resized else None
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = norm(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = norm(outputs)
        self.downsample = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += shortcut
        return self.relu(x)


class ResNet18(nn.Module):
    """float32 (n, 3, height, width) to logits (n, classes)."""

    def __init__(self, classes: int, norm: Callable[[int], nn.BatchNorm2d]):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1, norm), BasicBlock(64, 64, 1, norm))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2, norm), BasicBlock(128, 128, 1, norm))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2, norm), BasicBlock(256, 256, 1, norm))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2, norm), BasicBlock(512, 512, 1, norm))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(FEATURES, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the last layer sees of each image (n, FEATURES)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


class Normalize(nn.Module):
    """uint8 pixels (n, height, width, 3) to the network's float32 input (n, 3, height, width).

    The result keeps the pixels' order in memory, which is torch.channels_last.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32) * 255)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32) * 255)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        # By whole rows: broadcasting the three values over single pixels takes twenty times as long.
        width = pixels.shape[2]
        rows = pixels.flatten(2).float().sub_(self.mean.repeat(width)).div_(self.std.repeat(width))
        return rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)
