"""The order in which images are read, by seed, epoch and position alone, and its division among the processes."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from classifier.training.parallel.processes import Group

# Images that one reading process makes at a time: several make a batch, so that the first one is there soon.
PART = 32


class Part(NamedTuple):
    """Some images of a batch: those at `positions` of the phase, for the rows from `row` on of the slot `slot`."""

    slot: int
    row: int
    epoch: int
    positions: list[int]


class Order:
    """The positions of each batch of one epoch or several.

    With `shuffle` every epoch has an order of its own, except epoch 0, which goes from the first image to the last. Of
    each batch a process of the `group` takes its share, every size-th image.
    """

    def __init__(self, length: int, batch_size: int, group: Group, seed: int = 0, shuffle: bool = False):
        self.length = length
        self.batch_size = batch_size
        self.group = group
        self.seed = seed
        self.shuffle = shuffle
        self.start(0)

    def start(self, epoch: int, first: int = 0, last: int | None = None) -> None:
        """Choose the epochs to iterate over next: `epoch`, without its `first` batches, and those up to `last`."""
        self.epochs = range(epoch, 1 + (epoch if last is None else max(epoch, last)))
        self.first = first

    @property
    def share(self) -> int:
        """Return the most images that this process has of a batch."""
        return math.ceil(min(self.batch_size, self.length) / self.group.size)

    def __len__(self) -> int:
        return math.ceil(self.length / self.batch_size)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the epoch and the int64 positions (n,) of each batch."""
        for epoch in self.epochs:
            order = np.arange(self.length)
            if self.shuffle and epoch:
                np.random.default_rng((self.seed, epoch)).shuffle(order)
            first = self.first if epoch == self.epochs[0] else 0
            for start in range(first * self.batch_size, len(order), self.batch_size):
                yield epoch, order[start : start + self.batch_size][self.group.rank :: self.group.size]


class Parts(Sampler[Part]):
    """The batches of `order` in `self.number` parts each, which may be empty; `next_slot` gives a batch its slot."""

    def __init__(self, order: Order, next_slot: Callable[[int], int]):
        self.order = order
        self.next_slot = next_slot
        self.number = math.ceil(order.share / PART)

    def __iter__(self) -> Iterator[Part]:
        for place, (epoch, positions) in enumerate(self.order):
            slot, row = self.next_slot(place), 0
            for some in np.array_split(positions, self.number):
                yield Part(slot, row, epoch, some.tolist())
                row += len(some)
