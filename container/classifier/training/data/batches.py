"""Images to batches: reads each file once, keeps what it decoded, crops at random, and skips what cannot be read."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from classifier import images, memory
from classifier.device import usable_cores
from classifier.errors import UserError
from classifier.training.data.augment import draw_crop, resize, whole_side
from classifier.training.data.cache import NoCache, make_cache
from classifier.training.data.folders import Phase
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import ignore_signals
from classifier.training.parallel.processes import ALONE, Alone

logger = logging.getLogger(__name__)
# More unreadable images than this part of a phase is no accident.
MOST_SKIPPED = 0.1
MOST_WORKERS = 16
PREFETCH = 2


@dataclass
class Batch:
    """Images of one step: uint8 `pixels` (n, size, size, 3), int64 `labels` and `positions` in the phase (n,).

    `skipped` has the positions of the unreadable ones, which are not among the n, and why.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    skipped: dict[int, str]

    def pin_memory(self) -> "Batch":
        return Batch(self.pixels.pin_memory(), self.labels.pin_memory(), self.positions, self.skipped)

    def __len__(self) -> int:
        return len(self.labels)


class ImageDataset(torch.utils.data.Dataset):
    """A phase's images, by (epoch, position). What comes back is uint8 pixels, or the reason why there are none.

    `cropped` are cropped at random, anew each epoch; the others are what serving sees.
    """

    def __init__(self, phase: Phase, image_size: int, cropped: bool, seed: int, cache: NoCache):
        self.phase = phase
        self.image_size = image_size
        self.cropped = cropped
        self.seed = seed
        self.cache = cache

    def __len__(self) -> int:
        return len(self.phase)

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, np.ndarray | str]:
        epoch, position = key
        try:
            pixels = self.decoded(position)
        except (images.ImageError, OSError) as error:
            return position, str(error)
        if self.cropped:
            # By epoch and image, whichever worker reads it: the result does not depend on their number.
            random = np.random.default_rng((self.seed, epoch, position))
            pixels = resize(pixels[draw_crop(random, *pixels.shape[:2])], self.image_size)
        return position, pixels

    def decoded(self, position: int) -> np.ndarray:
        """The pixels (height, width, 3) that do not change from epoch to epoch."""
        pixels = self.cache.get(position)
        if pixels is None:
            data = Path(self.phase.folder, self.phase.files[position]).read_bytes()
            if self.cropped:
                pixels = images.whole_pixels(data, whole_side(self.image_size))
            else:
                pixels = images.evaluation_pixels(data, self.image_size)
            self.cache.put(position, pixels)
        return pixels

    def collate(self, samples: list[tuple[int, np.ndarray | str]]) -> Batch:
        read = [(position, pixels) for position, pixels in samples if not isinstance(pixels, str)]
        empty = np.empty((0, self.image_size, self.image_size, 3), np.uint8)
        return Batch(
            torch.from_numpy(np.stack([pixels for _, pixels in read]) if read else empty),
            torch.tensor([self.phase.labels[position] for position, _ in read], dtype=torch.int64),
            torch.tensor([position for position, _ in read], dtype=torch.int64),
            {position: reason for position, reason in samples if isinstance(reason, str)},
        )


class EpochBatches(Sampler):
    """The keys of an epoch's batches; `shuffle` anew each epoch, by seed and epoch alone.

    Of each batch a process of the `group` has its share, every nth image.
    """

    def __init__(self, length: int, batch_size: int, shuffle: bool, seed: int, group: Alone = ALONE):
        self.length = length
        self.batch_size = batch_size
        self.group = group
        self.shuffle = shuffle
        self.seed = seed
        self.start(0)

    def start(self, epoch: int, first: int = 0) -> None:
        """What is iterated over next; the `first` batches of an epoch that was interrupted were seen before."""
        self.epoch = epoch
        self.first = first

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.arange(self.length)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        for start in range(self.first * self.batch_size, self.length, self.batch_size):
            share = order[start : start + self.batch_size][self.group.rank :: self.group.size]
            yield [(self.epoch, int(position)) for position in share]


class ImageBatches:
    """Batches of `phase`: shuffled and cropped at random for train, in order and as serving sees them otherwise.

    With `once` there will be a single pass, of images as serving sees them.
    """

    def __init__(
        self, phase: Phase, hp: Hyperparameters, device: torch.device, once: bool = False, group: Alone = ALONE
    ):
        self.phase = phase
        training = phase.name == "train" and not once
        cropped = training and hp.augmentation != "none"
        side = whole_side(hp.image_size) if cropped else hp.image_size
        kept = not once and hp.epochs > 1
        cache = make_cache(len(phase), 3 * side**2, caches=group.on_this_host) if kept else NoCache()
        dataset = ImageDataset(phase, hp.image_size, cropped, hp.seed, cache)
        self.order = EpochBatches(len(phase), hp.batch_size, shuffle=training, seed=hp.seed, group=group)
        workers = count_workers(hp, trainers=group.on_this_host)
        self.loader = DataLoader(
            dataset,
            batch_sampler=self.order,
            num_workers=workers,
            collate_fn=dataset.collate,
            pin_memory=device.type == "cuda",
            worker_init_fn=start_worker,
            prefetch_factor=PREFETCH if workers else None,
            persistent_workers=workers > 0,
        )

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from the one after its `first` on."""
        self.order.start(number, first)
        return iter(self.loader)

    def close(self) -> None:
        """End the processes that read images, although an epoch's batches may still be referred to."""
        if self.loader._iterator:  # there is no public way, and a traceback keeps what its frames refer to
            self.loader._iterator._shutdown_workers()


def start_worker(_number: int) -> None:
    """Prepare this process to read images."""
    ignore_signals()
    memory.keep_small()


def count_workers(hp: Hyperparameters, shared_memory: Path = Path("/dev/shm"), trainers: int = 1) -> int:
    """Processes that read images for each of the `trainers` on this host, which share its cores.

    As many as asked for, fewer where their batches would not fit `shared_memory`.
    """
    workers = min(-(-usable_cores() // trainers), MOST_WORKERS) if hp.workers < 0 else hp.workers
    if not shared_memory.is_dir():
        return workers
    batch_bytes = hp.batch_size * hp.image_size**2 * 3
    # Training's and validation's workers live side by side; one batch more each is in the making.
    fitting = shutil.disk_usage(shared_memory).free // (2 * (PREFETCH + 1) * batch_bytes)
    if fitting < workers:
        logger.warning("%s has room for %d of %d workers; --shm-size gives it more", shared_memory, fitting, workers)
    return min(workers, fitting)


class SkippedImages:
    """The unreadable images of the whole job: each named once in the log, too many of a phase end it."""

    def __init__(self):
        self.reasons: dict[str, dict[str, str]] = {}

    def add(self, phase: Phase, batch: Batch) -> None:
        """Raises UserError when more than MOST_SKIPPED of `phase` could not be read."""
        reasons = self.reasons.setdefault(phase.name, {})
        for position, reason in batch.skipped.items():
            name = phase.files[position]
            if name not in reasons:
                reasons[name] = reason
                logger.warning("skipped %s image %s: %s", phase.name, name, reason)
        if len(reasons) > max(1, MOST_SKIPPED * len(phase)) or len(reasons) == len(phase):
            name, reason = next(iter(reasons.items()))
            raise UserError(
                f"{len(reasons)} of {len(phase)} {phase.name} images are unreadable, the first {name} ({reason}); "
                f"accepted: one, or up to {MOST_SKIPPED:.0%}"
            )

    def share(self, group: Alone) -> None:
        """Learn of those that other processes met."""
        for others in group.gather(self.reasons):
            for phase, reasons in others.items():
                self.reasons.setdefault(phase, {}).update(reasons)

    def state_dict(self) -> dict[str, dict[str, str]]:
        return self.reasons

    def load_state_dict(self, state: dict[str, dict[str, str]]) -> None:
        self.reasons = state

    def rows(self) -> list[tuple[str, str, str]]:
        """Phase, file and reason of each."""
        return [(phase, name, why) for phase, reasons in self.reasons.items() for name, why in sorted(reasons.items())]
