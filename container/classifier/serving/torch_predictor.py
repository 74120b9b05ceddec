"""The predictor for a GPU, by torch."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from classifier import artifact, device, network
from classifier.artifact import Artifact
from classifier.device import PRECISIONS
from classifier.errors import UserError
from classifier.layers import CONVOLUTIONS
from classifier.network import ResNet18
from classifier.serving.batcher import Forward

BATCH = 32


class TorchPredictor:
    """An artifact's network on the GPU. One thread runs it."""

    batch_size = BATCH
    lanes: tuple[int, ...] = (1,)

    def __init__(self, folder: Path, about: Artifact, precision: str = "auto", where: torch.device | None = None):
        """Load the weights onto `where`, by default this machine's GPU.

        Raises UserError if it cannot be used or does not support `precision`, or if the weights are damaged.
        """
        if precision not in PRECISIONS:
            raise UserError(f"precision {precision!r} is for processors; accepted on a GPU: {', '.join(PRECISIONS)}")
        self.artifact = about
        self._where = where or device.choose_device()
        self.device = device.describe(self._where)
        self._dtype = device.compute_dtype(precision, self._where)
        self.precision = device.name_precision(self._dtype)
        model = network.load(about, artifact.read_weights(folder, about))
        fold(model)
        self._normalize = network.Normalize(about.mean, about.std).to(self._where)
        self._backbone = nn.Sequential(*list(model.children())[:-2]).to(self._where, self._dtype)
        self._backbone = self._backbone.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._head = model.fc.to(self._where)

    def in_lane(self, cores: int) -> Forward:
        return self.probabilities

    @torch.inference_mode()
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the classes' probabilities for n >= 1 images, float32 (n, classes); uint8 (n, size, size, 3)."""
        x = self._normalize(torch.from_numpy(pixels).to(self._where))
        logits = self._head(self._backbone(x.to(self._dtype)).float().mean((2, 3)))
        return (logits / self.artifact.temperature).softmax(dim=1).cpu().numpy()


def fold(model: ResNet18) -> None:
    """Fold each batch normalisation of `model`, in evaluation mode, into the convolution before it."""
    for layer in CONVOLUTIONS.values():
        convolution, norm = model.get_submodule(layer.weight), model.get_submodule(layer.norm)
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        model.set_submodule(layer.weight, fuse_conv_bn_eval(convolution, norm))
        model.set_submodule(layer.norm, nn.Identity())
