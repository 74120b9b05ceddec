"""Where a job computes: its device, the dtype of its matrix products, and the processes that share the work."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from classifier.network import Normalize
from classifier.training.data.batch import Batch
from classifier.training.parallel.processes import ALONE, Group


def unchanged(pixels: torch.Tensor) -> torch.Tensor:
    """Return `pixels`."""
    return pixels


class Compute:
    """The device, the dtype of its matrix products, and the group of processes that this one belongs to."""

    def __init__(self, device: torch.device, dtype: torch.dtype, group: Group = ALONE):
        self.device = device
        self.dtype = dtype
        self.group = group
        self.normalize = Normalize().to(device)

    def move(
        self, batch: Batch, change: Callable[[torch.Tensor], torch.Tensor] = unchanged
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the network's input and the labels (n,), both on the device.

        Pixels are changed by `change` and normalised to (n, 3, size, size); features stay as they are.
        """
        inputs = batch.inputs.to(self.device, non_blocking=True)
        if inputs.dtype == torch.uint8:
            inputs = self.normalize(change(inputs))
        return inputs, batch.labels.to(self.device, non_blocking=True)

    def autocast(self) -> AbstractContextManager:
        """Return the context in which matrix products are computed in `dtype`."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)
