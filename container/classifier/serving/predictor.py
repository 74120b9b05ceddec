"""Pixels to probabilities: the model in memory and the threads that it may run in. Knows no HTTP."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from classifier import artifact, device, fused, network, quantized
from classifier.artifact import Artifact
from classifier.errors import UserError

# Larger batches gain less than 2 % on a CPU, and every request in them waits longer.
CPU_BATCH = 8
GPU_BATCH = 32


class Predictor:
    """An artifact's network on this machine's device. Its forward passes may run in several threads at once."""

    def __init__(self, folder: Path, description: Artifact, precision: str = "auto"):
        """Load the weights in `folder`.

        Raises UserError if the machine has a GPU that cannot be used, or does not support `precision`.
        """
        self.artifact = description
        self.device = device.choose_device()
        self._int8 = quantized.choose(precision, self.device, description.quantization)
        # With int8, the precision of the first convolution.
        self._float = device.serving_precision("auto" if self._int8 else precision, self.device)
        self.precision = quantized.PRECISION if self._int8 else self._float
        self.cores = device.usable_cores()
        self.batch_size = GPU_BATCH if self.device.type == "cuda" else CPU_BATCH
        self._normalize = network.Normalize(description.mean, description.std).to(self.device)
        # By the number of cores of a lane.
        self._networks = self._load(folder)

    @property
    def lanes(self) -> tuple[int, ...]:
        """The cores of each thread that runs the model: the first has all cores; on a CPU each core has one more.

        Under load the threads with a single core compute more: cores that share a forward pass wait for each other at
        every layer.
        """
        alone = self.device.type == "cuda" or self.cores == 1
        return (self.cores,) if alone else (self.cores, *[1] * self.cores)

    def in_lane(self, cores: int) -> Callable[[np.ndarray], np.ndarray]:
        """Return `probabilities` for use in the calling thread, which from now on has this many cores."""
        torch.get_num_threads()  # the first call in a thread sets torch's default, which would overwrite the next line
        torch.set_num_threads(cores)
        return self.probabilities

    def warm_up(self) -> None:
        """Classify blank images, alone and in a batch. Raises UserError if the probabilities are not finite."""
        size = self.artifact.image_size
        for cores, n in itertools.product(self._networks, (1, self.batch_size)):
            with _threads(cores):
                found = self.probabilities(np.zeros((n, size, size, 3), np.uint8))
            if not np.isfinite(found).all():
                sentence = "its probabilities for a blank image are not finite"
                raise UserError(f"the model artifact is damaged: {sentence}")

    @torch.inference_mode()
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the classes' probabilities for n >= 1 images, float32 of shape (n, classes).

        `pixels` are uint8 of shape (n, size, size, 3).
        """
        x = self._normalize(torch.from_numpy(pixels).to(self.device))
        return (self.logits(x) / self.artifact.temperature).softmax(dim=1).cpu().numpy()

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return float32 (n, classes) for normalised images, float32 (n, 3, size, size), channels last."""
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
        if self._int8:
            return quantized.quantize(model, size, self._int8.ranges, dtype)
        return fused.fuse(model, size, dtype, self.device)


@contextlib.contextmanager
def _threads(cores: int) -> Iterator[None]:
    """Set torch's number of threads to `cores` within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        yield
    finally:
        torch.set_num_threads(before)
