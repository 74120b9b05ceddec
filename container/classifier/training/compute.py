"""Where a job computes: its device, the dtype of its matrix products, and the processes that share the work."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from classifier.network import Normalize
from classifier.training.data.batches import Batch
from classifier.training.parallel.processes import ALONE, Alone


class Compute:
    """The device, the dtype of its matrix products, and the processes that share the work."""

    def __init__(self, device: torch.device, dtype: torch.dtype, group: Alone = ALONE):
        self.device = device
        self.dtype = dtype
        self.group = group
        self.normalize = Normalize().to(device)

    def move(self, batch: Batch, change: Callable = lambda pixels: pixels) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's input, (n, 3, size, size) of changed pixels or features as they are, and labels (n,)."""
        inputs = batch.pixels.to(self.device, non_blocking=True)
        if inputs.dtype == torch.uint8:
            inputs = self.normalize(change(inputs))
        return inputs, batch.labels.to(self.device, non_blocking=True)

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)
