"""Images to batches: reads each file once, keeps the decoded image, crops at random, and skips unreadable files."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from classifier import images
from classifier.training.compute import Compute
from classifier.training.data.augment import draw_crop, resize, whole_side
from classifier.training.data.batch import Batch, make_batch
from classifier.training.data.cache import Cache, NoCache, make_cache
from classifier.training.data.files import read_image_file
from classifier.training.data.folders import Phase
from classifier.training.data.names import quoted
from classifier.training.data.readers import PREFETCH, ReaderLost, Reading, count_workers, start_reader
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.parallel.processes import ALONE, Group

Key = tuple[int, int]  # epoch, and position in the phase
Sample = tuple[int, np.ndarray | str]  # position, and uint8 pixels (size, size, 3) or the reason why there are none


class Batches(Protocol):
    """The batches of a phase."""

    phase: Phase

    def __len__(self) -> int: ...

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """Return the batches of the epoch `number`, without its `first` ones."""
        ...

    def pixels_of_some(self, most: int) -> Iterator[Batch]:
        """Return batches of up to `most` images, spread evenly over the phase, as pixels and for this process alone."""
        ...

    def lost_reader(self) -> str | None:
        """Say how a process that read images for this phase ended too early, and at which image; None if none did."""
        ...

    def close(self) -> None:
        """End the processes that read images."""
        ...


class ImageDataset(Dataset):
    """The images of a phase, by Key.

    With `cropped` they are cropped at random, differently in each epoch; without it they are what serving sees.
    """

    def __init__(self, phase: Phase, image_size: int, cropped: bool, seed: int, cache: Cache, workers: int = 0):
        self.phase = phase
        self.image_size = image_size
        self.cropped = cropped
        self.seed = seed
        self.cache = cache
        self.reading = Reading(workers)

    def __len__(self) -> int:
        return len(self.phase)

    def __getitem__(self, key: Key) -> Sample:
        epoch, position = key
        try:
            with self.reading.note(position):
                pixels = self.decoded(position)
        except (images.ImageError, OSError) as error:
            return position, str(error)
        if self.cropped:
            # The crop depends on epoch and image, and not on which of how many workers reads it.
            random = np.random.default_rng((self.seed, epoch, position))
            pixels = resize(pixels[draw_crop(random, *pixels.shape[:2])], self.image_size)
        return position, pixels

    def decoded(self, position: int) -> np.ndarray:
        """Return the uint8 pixels (height, width, 3) that are the same in every epoch."""
        pixels = self.cache.get(position)
        if pixels is None:
            data = read_image_file(self.phase.folder / self.phase.files[position])
            if self.cropped:
                pixels = images.whole_pixels(data, whole_side(self.image_size))
            else:
                pixels = images.evaluation_pixels(data, self.image_size)
            self.cache.put(position, pixels)
        return pixels

    def collate(self, samples: list[Sample]) -> Batch:
        pixels = {position: sample for position, sample in samples if not isinstance(sample, str)}
        skipped = {position: sample for position, sample in samples if isinstance(sample, str)}

        def stack(positions: torch.Tensor) -> torch.Tensor:
            stacked = np.empty((len(positions), self.image_size, self.image_size, 3), np.uint8)
            for row, position in zip(stacked, positions.tolist(), strict=True):
                row[:] = pixels[position]
            return torch.from_numpy(stacked)

        return make_batch(self.phase, [position for position, _ in samples], skipped, stack)


class EpochBatches(Sampler[list[Key]]):
    """The keys of the batches of one epoch or several, of every `stride`-th image.

    With `shuffle` they are in an order that seed and epoch give.

    Of each batch a process of the `group` takes its share, every size-th image.
    """

    def __init__(self, length: int, batch_size: int, group: Group, seed: int = 0, shuffle: bool = False, stride=1):
        self.length = length
        self.batch_size = batch_size
        self.group = group
        self.seed = seed
        self.shuffle = shuffle
        self.stride = stride
        self.start(0)

    def start(self, epoch: int, first: int = 0, last: int | None = None) -> None:
        """Choose the epochs to iterate over next: `epoch`, without its `first` batches, and those up to `last`."""
        self.epochs = range(epoch, 1 + (epoch if last is None else max(epoch, last)))
        self.first = first

    def __len__(self) -> int:
        return math.ceil(self.length / self.stride / self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for epoch in self.epochs:
            order = np.arange(0, self.length, self.stride)
            if self.shuffle:
                np.random.default_rng((self.seed, epoch)).shuffle(order)
            first = self.first if epoch == self.epochs[0] else 0
            for start in range(first * self.batch_size, len(order), self.batch_size):
                share = order[start : start + self.batch_size][self.group.rank :: self.group.size]
                yield [(epoch, int(position)) for position in share]


class ImageBatches(Batches):
    """Batches of `phase`: shuffled and cropped at random for train, in order and as serving sees them otherwise.

    With `once` there will be a single pass, over images as serving sees them.
    """

    def __init__(self, phase: Phase, hp: Hyperparameters, compute: Compute, once: bool = False):
        self.phase = phase
        training = phase.name == "train" and not once
        cropped = training and hp.augmentation != "none"
        side = whole_side(hp.image_size) if cropped else hp.image_size
        kept = not once and hp.epochs > 1
        group = compute.group
        cache = make_cache(len(phase), 3 * side**2, caches=group.on_this_host) if kept else NoCache()
        self.workers = count_workers(hp, trainers=group.on_this_host)
        self.dataset = ImageDataset(phase, hp.image_size, cropped, hp.seed, cache, self.workers)
        self.order = EpochBatches(len(phase), hp.batch_size, group, hp.seed, shuffle=training)
        self.passes = 1 if once else hp.epochs
        self.is_numbered = training
        self.stream: Iterator[Batch] = iter(())
        self.place = (0, -1)  # the epoch and the number in it of the batch that `stream` has next
        self.pin_memory = compute.device.type == "cuda"
        self.loader = self._make_loader(self.order, persistent=True)
        self.opened: list[Any] = []  # torch's iterators, which have the processes

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """Return the batches of the epoch `number`, without its `first` ones.

        The processes go on to the next epoch's as soon as these are made, so that none begins by waiting.
        """
        if not self.is_numbered:
            number = self.place[0]  # all passes are alike
        if self.place != (number, first) or number not in self.order.epochs:
            self.order.start(number, first, self.passes - (not self.is_numbered))
            self.stream = self._open(self.loader)
            self.place = number, first
        return self._take(number, first)

    def pixels_of_some(self, most: int) -> Iterator[Batch]:
        stride = math.ceil(len(self.phase) / most)
        order = EpochBatches(len(self.phase), self.order.batch_size, ALONE, stride=stride)
        return self._open(self._make_loader(order, persistent=False))

    def lost_reader(self) -> str | None:
        found = filter(None, (self.dataset.reading.find_lost(iterator._workers) for iterator in self.opened))
        how, position = next(found, (None, None))
        if how is None or position is None:
            return how
        return f"{how}, at the {self.phase.name} image {quoted(self.phase.files[position])}"

    def close(self) -> None:
        """End the processes that read images, although an epoch's batches may still be referred to."""
        for iterator in self.opened:  # there is no public way, and a traceback keeps what its frames refer to
            self.dataset.reading.kill_readers(iterator._workers)
            iterator._shutdown_workers()
            for worker in iterator._workers:
                worker.kill()  # those that did not come to their end within torch's 5 s
        self.opened.clear()

    def _take(self, number: int, first: int) -> Iterator[Batch]:
        for place in range(first, len(self)):
            batch = next(self.stream)
            self.place = (number, place + 1) if place + 1 < len(self) else (number + 1, 0)
            yield batch

    def _open(self, loader: DataLoader) -> Iterator[Batch]:
        iterator = iter(loader)
        if self.workers and iterator not in self.opened:
            self.opened.append(iterator)
        return iterator

    def _make_loader(self, order: EpochBatches, persistent: bool) -> DataLoader:
        return DataLoader(
            self.dataset,
            batch_sampler=order,
            num_workers=self.workers,
            collate_fn=self.dataset.collate,
            pin_memory=self.pin_memory,
            worker_init_fn=start_reader,
            prefetch_factor=PREFETCH if self.workers else None,
            persistent_workers=persistent and self.workers > 0,
        )


@contextmanager
def explained_losses(*phases: Batches | None) -> Iterator[None]:
    """Raise ReaderLost in place of torch's error for a process that ended while it read images of the `phases`."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        lost = next(filter(None, (batches.lost_reader() for batches in phases if batches)), str(error).strip())
        raise ReaderLost(
            f"a process that reads images was ended by {lost}; SIGKILL usually means that memory ran out, and SIGBUS "
            "that /dev/shm is full: accepted are fewer workers, and images that can be decoded"
        ) from error
