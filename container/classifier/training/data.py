"""Images to batches: reads each file once an epoch, augments it, and skips what cannot be read."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torchvision.transforms import v2

from classifier import images
from classifier.device import usable_cores
from classifier.errors import UserError
from classifier.training.folders import Phase
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import ignore_signals

logger = logging.getLogger(__name__)
# More unreadable images than this part of a phase is no accident.
MOST_SKIPPED = 0.1
MOST_WORKERS = 16
PREFETCH = 2
# The smallest part of a photo's area that an augmentation may crop to.
SMALLEST_CROP = 0.25


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
    """A phase's images, by (epoch, position). What comes back is uint8 pixels, or the reason why there are none."""

    def __init__(self, phase: Phase, image_size: int, augmentation: str, seed: int):
        self.phase = phase
        self.image_size = image_size
        self.augment = augmentations(augmentation, image_size)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.phase)

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, np.ndarray | str]:
        epoch, position = key
        try:
            data = Path(self.phase.folder, self.phase.files[position]).read_bytes()
            if self.augment is None:
                return position, images.evaluation_pixels(data, self.image_size)
            # So that the smallest crop still has as many pixels as the network sees.
            image = images.decode(data, round(self.image_size / SMALLEST_CROP**0.5))
        except (images.ImageError, OSError) as error:
            return position, str(error)
        with torch.random.fork_rng(devices=[]):
            # By epoch and image, whichever worker reads it: the result does not depend on their number.
            torch.manual_seed(hash((self.seed, epoch, position)))
            return position, np.array(self.augment(image))

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

    The `first` batches of an epoch that was interrupted are left out: they were seen before.
    """

    def __init__(self, length: int, batch_size: int, shuffle: bool, seed: int):
        self.length = length
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.start(0)

    def start(self, epoch: int, first: int = 0) -> None:
        """What is iterated over next."""
        self.epoch = epoch
        self.first = first

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.arange(self.length)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        for start in range(self.first * self.batch_size, self.length, self.batch_size):
            yield [(self.epoch, int(position)) for position in order[start : start + self.batch_size]]


def augmentations(name: str, image_size: int) -> v2.Transform | None:
    """The random changes from an upright RGB image to (image_size, image_size); None where evaluation's crop serves."""
    if name == "none":
        return None
    steps = [v2.RandomResizedCrop(image_size, scale=(SMALLEST_CROP, 1)), v2.RandomHorizontalFlip()]
    if name == "strong":
        steps.append(v2.TrivialAugmentWide())
    return v2.Compose(steps)


def make_loader(phase: Phase, hp: Hyperparameters, device: torch.device) -> DataLoader:
    """Batches of `phase`: shuffled and augmented for train, in order and as serving sees them for the others."""
    training = phase.name == "train"
    dataset = ImageDataset(phase, hp.image_size, hp.augmentation if training else "none", hp.seed)
    workers = count_workers(hp)
    return DataLoader(
        dataset,
        batch_sampler=EpochBatches(len(phase), hp.batch_size, shuffle=training, seed=hp.seed),
        num_workers=workers,
        collate_fn=dataset.collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=ignore_signals,
        prefetch_factor=PREFETCH if workers else None,
        persistent_workers=workers > 0,
    )


def count_workers(hp: Hyperparameters, shared_memory: Path = Path("/dev/shm")) -> int:
    """Processes that read images: as many as asked for, fewer where their batches would not fit `shared_memory`."""
    workers = min(usable_cores(), MOST_WORKERS) if hp.workers < 0 else hp.workers
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

    def state_dict(self) -> dict[str, dict[str, str]]:
        return self.reasons

    def load_state_dict(self, state: dict[str, dict[str, str]]) -> None:
        self.reasons = state

    def rows(self) -> list[tuple[str, str, str]]:
        """Phase, file and reason of each."""
        return [(phase, name, why) for phase, reasons in self.reasons.items() for name, why in sorted(reasons.items())]
