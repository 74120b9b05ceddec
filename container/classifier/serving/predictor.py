"""Pixels to probabilities: the model in memory. Knows no HTTP."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from classifier import artifact, device, network
from classifier.artifact import Artifact
from classifier.errors import UserError


class Predictor:
    """An artifact's network on this machine's device; safe to call from many threads."""

    precision = "fp32"

    def __init__(self, folder: Path, description: Artifact):
        """Load the weights in `folder`. Raises UserError where the machine has a GPU that cannot be used."""
        self.artifact = description
        self.device = device.choose_device()
        self.threads = device.usable_cores()
        torch.set_num_threads(self.threads)
        model = network.build(len(description.classes), description.eps)
        model.load_state_dict(artifact.load_weights(folder))
        model = torch.nn.Sequential(network.Normalize(description.mean, description.std), model).eval()
        self._model = model.to(self.device, memory_format=torch.channels_last)
        # One thread runs the model for all callers: each forward pass already uses every core, and each
        # further thread that called torch would bring a pool of OpenMP threads of its own.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")

    def warm_up(self) -> None:
        """Answer one blank image. Raises UserError where the weights give no finite answer."""
        size = self.artifact.image_size
        if not np.isfinite(self.probabilities([np.zeros((size, size, 3), np.uint8)])).all():
            raise UserError("the model artifact is damaged: its weights answer a blank image with no finite numbers")

    def probabilities(self, pixels: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """The classes' probabilities for n >= 1 images.

        `pixels` are uint8 of shape (n, size, size, 3); the result is float32 of shape (n, classes).
        """
        return self._executor.submit(self._forward, np.stack(pixels)).result()

    @torch.inference_mode()
    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        return self._model(torch.from_numpy(pixels).to(self.device)).float().softmax(dim=1).cpu().numpy()
