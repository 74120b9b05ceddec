"""Batches of images, which processes read while the network computes."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from classifier import images
from classifier.machine import usable_cores
from classifier.training.compute import Compute
from classifier.training.data.augment import whole_side
from classifier.training.data.batch import Batch, make_batch
from classifier.training.data.cache import NoCache, make_cache
from classifier.training.data.dataset import ImageDataset, Read
from classifier.training.data.folders import Phase
from classifier.training.data.names import quoted
from classifier.training.data.order import Order, Parts
from classifier.training.data.readers import PREFETCH, ReaderLost, count_slots, count_workers, start_reader
from classifier.training.data.slots import Slots
from classifier.training.hyperparameters import Hyperparameters

# More workers than cores wait for a network disk side by side.
warnings.filterwarnings("ignore", "This DataLoader will create")
# Images that pixels_of() holds in memory: 39 MB at 224 px.
READ_AT_ONCE = 256


class Batches(Protocol):
    """The batches of a phase."""

    phase: Phase

    def __len__(self) -> int: ...

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """Return the batches of the epoch `number`, without its `first` ones.

        Epoch 0 has all images in order, as validation sees them. The inputs of a batch last until the next is taken.
        """
        ...

    def pixels_of(self, positions: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Return position and uint8 pixels (size, size, 3) of each readable image, as validation sees it.

        They are those of the `positions`, in their order, and this process alone reads them.
        """
        ...

    def lost_reader(self) -> str | None:
        """Say how a process that read images for this phase ended too early, and at which image; None if none did."""
        ...

    def close(self) -> None:
        """End the processes that read images."""
        ...


class ImageBatches(Batches):
    """Batches of `phase`: shuffled and cropped at random for train, in order and as serving sees them otherwise.

    With `once` there will be a single pass, over images as serving sees them; only train's are not kept after that.
    """

    def __init__(self, phase: Phase, hp: Hyperparameters, compute: Compute, once: bool = False):
        self.phase = phase
        self.compute = compute
        training = phase.name == "train" and not once
        cropped = training and hp.augmentation != "none"
        group = compute.group
        self.order = Order(len(phase), hp.batch_size, group, hp.seed, shuffle=training)
        self.workers = count_workers(hp, self.order.share, group.on_this_host)
        self.slots = Slots(count_slots(self.order.share, self.workers), self.order.share, hp.image_size)
        self.parts = Parts(self.order, self.slots.next)
        side = whole_side(hp.image_size) if cropped else hp.image_size
        kept = training or phase.name != "train"
        writers = max(1, self.workers)
        cache = make_cache(len(phase), 3 * side**2, None, group.on_this_host, writers) if kept else NoCache()
        self.dataset = ImageDataset(phase, hp.image_size, cropped, hp.seed, cache, self.slots, self.workers)
        self.passes = 1 if once else hp.epochs
        self.is_numbered = training
        self.stream: Iterator[Read] = iter(())
        self.place = (0, -1)  # the epoch and the number in it of the batch that `stream` has next
        self.loader = DataLoader(
            self.dataset,
            batch_size=None,
            sampler=self.parts,
            num_workers=self.workers,
            collate_fn=as_it_is,
            worker_init_fn=start_reader,
            prefetch_factor=PREFETCH if self.workers else None,
            persistent_workers=self.workers > 0,
        )
        self.opened: Any = None  # torch's iterator, which has the processes

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """Return the batches of the epoch `number`, without its `first` ones.

        The processes go on to the next epoch's as soon as these are made, so that none begins by waiting.
        """
        if not self.is_numbered:
            number = self.place[0]  # all passes are alike
        if self.place != (number, first) or number not in self.order.epochs:
            last = self.passes if self.is_numbered else self.passes - 1
            self.order.start(number, first, last if number or not self.is_numbered else None)
            self.stream = self._open()
            self.place = number, first
        return self._take(number, first)

    def pixels_of(self, positions: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        # Threads suffice for what is decoded already, and decoding leaves the lock of Python.
        with ThreadPool(usable_cores()) as pool:
            for start in range(0, len(positions), READ_AT_ONCE):
                some = positions[start : start + READ_AT_ONCE]
                for position, pixels in zip(some, pool.map(self._pixels_or_none, some), strict=True):
                    if pixels is not None:
                        yield position, pixels

    def lost_reader(self) -> str | None:
        if self.opened is None:
            return None
        return self.dataset.reading.describe_lost(
            self.opened._workers, lambda position: f"the {self.phase.name} image {quoted(self.phase.files[position])}"
        )

    def close(self) -> None:
        """End the processes that read images, although an epoch's batches may still be referred to."""
        if self.opened is not None:  # there is no public way, and a traceback keeps what its frames refer to
            self.dataset.reading.kill_readers(self.opened._workers)
            self.opened._shutdown_workers()
            for worker in self.opened._workers:
                worker.kill()  # those that did not come to their end within torch's 5 s
        self.opened = None
        self.slots.close()

    def _take(self, number: int, first: int) -> Iterator[Batch]:
        for place in range(first, len(self)):
            read = [next(self.stream) for _ in range(self.parts.number)]
            self.place = (number, place + 1) if place + 1 < len(self) else (number + 1, 0)
            try:
                yield self._join(read)
            finally:
                self.slots.leave(read[0].part.slot, self.compute.copying)

    def _join(self, read: list[Read]) -> Batch:
        """Return the batch of some parts, whose pixels lie in the rows of one slot."""
        positions = sum((one.part.positions for one in read), [])
        skipped = {position: reason for one in read for position, reason in one.skipped.items()}
        pixels = self.slots.pixels[read[0].part.slot]
        if skipped:
            readable = [row for row, position in enumerate(positions) if position not in skipped]
            pixels[: len(readable)] = pixels[readable]
        batch = make_batch(self.phase, positions, skipped, lambda found: torch.from_numpy(pixels[: len(found)]))
        if self.slots.is_pinned:
            batch.labels = batch.labels.pin_memory()
        return batch

    def _pixels_or_none(self, position: int) -> np.ndarray | None:
        try:
            return self.dataset.pixels(0, position)
        except (images.ImageError, OSError):
            return None

    def _open(self) -> Iterator[Read]:
        iterator = iter(self.loader)
        if self.workers:
            self.opened = iterator
        if self.compute.copying:
            self.slots.pin()  # after the fork, of which the processes need not know
        return iterator


def as_it_is(read: Any) -> Any:
    """Collate nothing: a part's pixels are in its slot."""
    return read


@contextmanager
def explained_losses(*phases: Batches | None) -> Iterator[None]:
    """Raise ReaderLost in place of torch's error for a process that ended while it read images of the `phases`."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        lost = next(filter(None, (batches.lost_reader() for batches in phases if batches)), str(error).strip())
        raise ReaderLost(f"a process that reads images was ended by {lost}") from error
