"""Where a job computes: its device, the dtype of its matrix products, and the processes that share the work."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from classifier.device import out_of_memory
from classifier.errors import UserError, lacks_memory, too_little_memory
from classifier.network import Normalize
from classifier.training.hyperparameters import Hyperparameters
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
        # Of its own, so that a batch is copied while the GPU still computes the step before.
        self.copying = torch.cuda.Stream(device) if device.type == "cuda" and torch.cuda.is_available() else None

    def inputs(self, inputs: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor] = unchanged) -> torch.Tensor:
        """Return the network's input on the device, for the inputs of a batch.

        uint8 pixels are changed by `change` and normalised to (n, 3, size, size); features stay as they are.
        """
        moved = self.move(inputs)
        return self.normalize(change(moved)) if moved.dtype == torch.uint8 else moved

    def move(self, tensor: torch.Tensor) -> torch.Tensor:
        """Copy `tensor` to the device, without waiting for the copy."""
        if self.copying is None or tensor.device.type == self.device.type:
            return tensor.to(self.device, non_blocking=True)
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.copying):
            moved = tensor.to(self.device, non_blocking=True)
        computing.wait_stream(self.copying)
        moved.record_stream(computing)  # or its memory would be given to the next copy while it is read
        return moved

    def autocast(self) -> AbstractContextManager:
        """Return the context in which matrix products are computed in `dtype`."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)


@contextmanager
def explained_memory(hp: Hyperparameters) -> Iterator[None]:
    """Raise UserError in place of an error that says that the GPU's memory ran out, or the processor's."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if said := out_of_memory(error):
            raise UserError(
                f"the GPU's memory is too small for batch_size={hp.batch_size} at image_size={hp.image_size}; lower "
                f"one of them, or end what else fills it ({said})"
            ) from error
        if lacks_memory(error):
            raise UserError(too_little_memory(error)) from error
        raise
