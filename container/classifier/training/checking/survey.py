"""A look at every image of a data set: columns of measures, in little memory."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import TimeoutError as TookTooLong
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np

from classifier import images
from classifier.machine import usable_cores
from classifier.training.checking import details
from classifier.training.checking.looks import DIGEST_BYTES, THUMBNAIL, Look, look_at
from classifier.training.data.folders import Dataset
from classifier.training.data.names import escaped, printable

Progress = Callable[..., Iterable[Any]]


def silent(items: Iterable[Any], **_about: object) -> Iterable[Any]:
    """The default Progress: show nothing."""
    return items


@dataclass
class Survey:
    """What was found of each of a data set's n images, in the order of its phases.

    The columns of images that are unreadable, or were not looked at, have zeros.
    """

    dataset: Dataset
    phases: np.ndarray  # (n,) the position of each image's phase in dataset.phases
    labels: np.ndarray  # (n,)
    paths: list[Path] = field(repr=False)
    sides: np.ndarray  # (n, 2) width and height
    digests: np.ndarray  # (n,) of the file's contents
    thumbnails: np.ndarray  # uint8 (n, THUMBNAIL**2)
    details: np.ndarray  # uint8 (n, details.SIDE, details.SIDE, 3)
    brightness: np.ndarray  # (n,)
    contrast: np.ndarray  # (n,)
    highest: np.ndarray  # (n,) the largest grey value
    has_16_bits: np.ndarray  # bool (n,)
    sharpness: np.ndarray  # (n,)
    unreadable: dict[int, str] = field(default_factory=dict)  # the reasons
    seconds: float = 0.0

    @classmethod
    def of(cls, dataset: Dataset) -> "Survey":
        """Return the survey before any image was looked at."""
        phases, n = dataset.phases, sum(map(len, dataset.phases))
        return cls(
            dataset=dataset,
            phases=np.repeat(np.arange(len(phases), dtype=np.int8), [len(phase) for phase in phases]),
            labels=np.concatenate([np.array(phase.labels, np.int32) for phase in phases]),
            paths=[phase.folder / file for phase in phases for file in phase.files],
            sides=np.zeros((n, 2), np.int32),
            digests=np.zeros(n, f"S{DIGEST_BYTES}"),
            thumbnails=np.zeros((n, THUMBNAIL**2), np.uint8),
            details=np.zeros((n, details.SIDE, details.SIDE, 3), np.uint8),
            brightness=np.zeros(n, np.float32),
            contrast=np.zeros(n, np.float32),
            highest=np.zeros(n, np.uint8),
            has_16_bits=np.zeros(n, bool),
            sharpness=np.zeros(n, np.float32),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def readable(self) -> np.ndarray:
        """Whether each image was looked at and is readable (n,)."""
        return self.sides[:, 0] > 0

    @property
    def looked_at(self) -> int:
        return int(self.readable.sum()) + len(self.unreadable)

    def note(self, position: int, look: Look | str) -> None:
        """Take in what was found of the image at `position`: its measures, or why it is unreadable."""
        if isinstance(look, str):
            self.unreadable[position] = look
            return
        self.sides[position] = look.width, look.height
        self.digests[position] = look.digest
        self.thumbnails[position], self.details[position] = look.thumbnail, look.details
        self.brightness[position], self.contrast[position] = look.brightness, look.contrast
        self.highest[position], self.has_16_bits[position] = look.highest, look.has_16_bits
        self.sharpness[position] = look.sharpness

    def shown(self, position: int) -> str:
        """Return an image's name as tables and pages have it: its phase, and the path in the phase's folder."""
        phase = self.dataset.phases[self.phases[position]]
        return f"{phase.name}: {escaped(os.path.relpath(self.paths[position], phase.folder))}"


def survey(dataset: Dataset, seconds: float = float("inf"), progress: Progress = silent) -> Survey:
    """Look at all images of `dataset` with all cores, or at those that `seconds` suffice for.

    `progress` is called as tqdm is, and may end earlier too.
    """
    found, started = Survey.of(dataset), time.monotonic()
    looks = _looks(((position, found.paths[position]) for position in _order(found)), started + seconds)
    for position, look in progress(looks, desc="checking", total=len(found)):
        found.note(position, look)
    found.seconds = time.monotonic() - started
    return found


def _order(found: Survey) -> list[int]:
    """Return the positions, test's and then validation's first, and otherwise mixed.

    Leaks are looked for of those few, and of the rest a part says most if it is of all classes.
    """
    mixed = np.random.default_rng(0).permutation(len(found))
    return mixed[np.argsort(-found.phases[mixed], kind="stable")].tolist()


def _looks(numbered: Iterable[tuple[int, Path]], until: float) -> Iterator[tuple[int, Look | str]]:
    """Yield each position with its look, or the reason why there is none, until that time of time.monotonic()."""
    # Threads, since decoding and numpy leave the lock of Python; daemons, since a file may never be read.
    with ThreadPool(usable_cores()) as pool:
        looks = pool.imap_unordered(_look, numbered)
        while True:
            try:
                yield looks.next(None if until == float("inf") else max(0.0, until - time.monotonic()))
            except (StopIteration, TookTooLong):
                return


def _look(numbered: tuple[int, Path]) -> tuple[int, Look | str]:
    position, path = numbered
    try:
        return position, look_at(path)
    except images.ImageError as error:
        return position, printable(error)
    except OSError as error:
        return position, printable(error.strerror or error)
