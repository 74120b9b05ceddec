"""Memory for batches on their way: reading processes write pixels to it, and the GPU copies them from it.

It is anonymous memory, shared with the processes that are forked later, so it needs no /dev/shm.
"""

import contextlib
import logging
import mmap
from typing import Any

import numpy as np
import torch

logger = logging.getLogger(__name__)


class Slots:
    """`number` slots, each with room for the uint8 pixels (images, image_size, image_size, 3) of a batch."""

    def __init__(self, number: int, images: int, image_size: int):
        shape = number, images, image_size, image_size, 3
        self.pixels = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)
        # The event after the last copy from each slot, or None.
        self.copies: list[Any] = [None] * number
        self.is_pinned = False

    def pin(self) -> None:
        """Let the GPU copy from the slots by itself, if CUDA allows it; without that it copies more slowly."""
        if self.is_pinned:
            return
        cuda: Any = torch.cuda.cudart()
        error = cuda.cudaHostRegister(self.pixels.ctypes.data, self.pixels.nbytes, 0)
        self.is_pinned = error == cuda.cudaError.success
        if not self.is_pinned:
            with contextlib.suppress(RuntimeError):
                torch.zeros(1, device="cuda")  # or a later call would report this error as its own
            what = "CUDA does not pin the %.1f GB of batches on their way to the GPU, which slows their copies: %s"
            logger.warning(what, self.pixels.nbytes / 1e9, cuda.cudaGetErrorString(error))

    def next(self, batch: int) -> int:
        """Return the slot of the `batch`-th batch, once what was copied from it before has arrived."""
        slot = batch % len(self.copies)
        if copy := self.copies[slot]:
            copy.synchronize()
        return slot

    def leave(self, slot: int, copying: torch.cuda.Stream | None) -> None:
        """Note that no more copies from a slot will be ordered in the stream `copying`."""
        if copying:
            self.copies[slot] = copying.record_event()

    def close(self) -> None:
        """Unpin the slots, once nothing is copied from them."""
        if self.is_pinned:
            for slot in range(len(self.copies)):
                self.next(slot)
            cuda: Any = torch.cuda.cudart()
            cuda.cudaHostUnregister(self.pixels.ctypes.data)
            self.is_pinned = False
