"""Pixels to probabilities: the model in memory, and the threads it may run in. Knows no HTTP."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from classifier import artifact, device, fused, network, quantized
from classifier.artifact import Artifact
from classifier.errors import UserError

# Larger batches gain less than 2 % on a CPU, and make everybody in them wait longer.
CPU_BATCH = 8
GPU_BATCH = 32


class Predictor:
    """An artifact's network on this machine's device; its forward passes may run in several threads at once."""

    def __init__(self, folder: Path, description: Artifact, precision: str = "auto"):
        """Load the weights in `folder`.

        Raises UserError where the machine has a GPU that cannot be used, or cannot compute in `precision`.
        """
        self.artifact = description
        self.device = device.choose_device()
        is_int8 = quantized.is_chosen(precision, self.device, description.quantization)
        # With int8, that of the first convolution.
        self._float = device.serving_precision("auto" if is_int8 else precision, self.device)
        self.precision = quantized.PRECISION if is_int8 else self._float
        self.cores = device.usable_cores()
        self.batch_size = GPU_BATCH if self.device.type == "cuda" else CPU_BATCH
        self._normalize = network.Normalize(description.mean, description.std).to(self.device)
        # For each number of cores that a lane has.
        self._networks = self._load(folder)

    @property
    def lanes(self) -> tuple[int, ...]:
        """The cores of each thread that runs the model: first one with all of them, then, on a CPU, one for each core.

        Under load a core by itself computes more: cores that share a forward pass wait for each other at its every
        layer.
        """
        alone = self.device.type == "cuda" or self.cores == 1
        return (self.cores,) if alone else (self.cores, *[1] * self.cores)

    def in_lane(self, cores: int) -> Callable[[np.ndarray], np.ndarray]:
        """`probabilities` for the calling thread alone, with this many cores."""
        torch.get_num_threads()  # what torch sets for a new thread, it sets now and not over the next line
        torch.set_num_threads(cores)
        return self.probabilities

    def warm_up(self) -> None:
        """Answer blank images, alone and in a batch. Raises UserError where the weights give no finite answer."""
        size = self.artifact.image_size
        for cores, n in itertools.product(self._networks, (1, self.batch_size)):
            with _threads(cores):
                found = self.probabilities(np.zeros((n, size, size, 3), np.uint8))
            if not np.isfinite(found).all():
                sentence = "its weights answer a blank image with no finite numbers"
                raise UserError(f"the model artifact is damaged: {sentence}")

    @torch.inference_mode()
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """The classes' probabilities for n >= 1 images.

        `pixels` are uint8 of shape (n, size, size, 3); the result is float32 of shape (n, classes).
        """
        x = self._normalize(torch.from_numpy(pixels).to(self.device))
        return (self.logits(x) / self.artifact.temperature).softmax(dim=1).cpu().numpy()

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, classes) for normalised images: float32 (n, 3, size, size), channels last."""
        return self._networks.get(torch.get_num_threads(), self._networks[self.cores])(x)

    @torch.inference_mode()
    def _load(self, folder: Path) -> dict[int, fused.FusedNetwork]:
        model = network.build_empty(len(self.artifact.classes), self.artifact.eps).eval()
        model.load_state_dict(artifact.load_weights(folder), assign=True)
        networks = {}
        for cores in dict.fromkeys(self.lanes):
            with _threads(cores):
                networks[cores] = self._prepare(model)
        return networks

    def _prepare(self, model: network.ResNet18) -> fused.FusedNetwork:
        size, dtype = self.artifact.image_size, device.compute_dtype(self._float, self.device)
        if self.precision == quantized.PRECISION:
            return quantized.QuantizedNetwork(model, size, self.artifact.quantization.ranges, dtype)
        return fused.fuse(model, size, dtype, self.device)


@contextlib.contextmanager
def _threads(cores: int) -> Iterator[None]:
    """With this many threads of torch's."""
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        yield
    finally:
        torch.set_num_threads(before)
