"""Finds the phases and classes of a data set in its folders, and checks the layout without reading an image."""

import os
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from classifier import images
from classifier.errors import UserError

# The accepted names of a phase's folder or channel.
PHASES = {"train": ("train", "training"), "validation": ("validation", "valid", "val"), "test": ("test",)}
OTHER_CHANNELS = ("model", "pretrained")
VALIDATION_FRACTION = 0.2
# macOS puts this folder of hidden files into the archives it makes.
ARCHIVE_LITTER = "__MACOSX"
LAYOUT = (
    "a channel train (or training) with a folder per class, or one channel that holds train/, validation/ and test/"
)


@dataclass(frozen=True)
class Phase:
    """The images of one phase: `files` below `folder`, and the index of each one's class.

    `passed_over` counts the other files by suffix.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    passed_over: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class Dataset:
    """The phases of a data set and its sorted class names.

    `split_from_train` says that no validation set was given, so a part of train was set aside.
    """

    classes: tuple[str, ...]
    train: Phase
    validation: Phase
    test: Phase | None
    split_from_train: bool

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(phase for phase in (self.train, self.validation, self.test) if phase)

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase.name == name)


def read_dataset(channels: Mapping[str, Path], seed: int) -> Dataset:
    """Find the images of every phase in `channels`.

    Without a validation channel, a part of each class of train becomes one, chosen by `seed`. Raises UserError if the
    layout is not one that LAYOUT names.
    """
    folders = find_phases(channels)
    classes = tuple(sorted(_class_folders("train", folders["train"])))
    if len(classes) < 2:
        raise UserError(
            f"{folders['train']} has {len(classes)} class folder{'s' * (len(classes) != 1)} "
            f"({', '.join(classes) or 'none'}); accepted: at least 2, each a folder of images"
        )
    phases = {name: _read_phase(name, folder, classes) for name, folder in folders.items()}
    split = "validation" not in phases
    if split:
        phases["train"], phases["validation"] = split_phase(phases["train"], seed)
    return Dataset(classes, phases["train"], phases["validation"], phases.get("test"), split)


def find_phases(channels: Mapping[str, Path]) -> dict[str, Path]:
    """Return the folder of each phase that is given. Raises UserError with the accepted layouts, also without train."""
    given = {name: path for name, path in channels.items() if name not in OTHER_CHANNELS}
    if not given:
        raise UserError(f"no input channel with images; accepted: {LAYOUT}")
    if len(given) == 1:
        ((_, folder),) = given.items()
        inside = {path.name: path for path in _visible_folders(folder)}
        # A class may be called "train" (next to car and bus): only a folder of folders is a phase.
        if any(name in inside and _visible_folders(inside[name]) for name in PHASES["train"]):
            given = {name: path for name, path in inside.items() if any(name in names for names in PHASES.values())}
    found = {}
    for name, path in given.items():
        phase = next((phase for phase, names in PHASES.items() if name in names), None)
        if phase is None:
            raise UserError(f"channel {name!r} is none of {', '.join(sum(PHASES.values(), ()) + OTHER_CHANNELS)}")
        if phase in found:
            raise UserError(f"{found[phase].name!r} and {name!r} both hold the {phase} images; accepted: one of them")
        found[phase] = path
    if "train" not in found:
        raise UserError(f"no train channel, only {', '.join(map(repr, given))}; accepted: {LAYOUT}")
    return found


def split_phase(train: Phase, seed: int) -> tuple[Phase, Phase]:
    """Split `train` into train and validation: VALIDATION_FRACTION of every class, and one image of a class of two.

    The choice depends on `seed` alone. Raises UserError if every class has one image.
    """
    of_class = defaultdict(list)
    for position, label in enumerate(train.labels):
        of_class[label].append(position)
    chosen = set()
    for label, positions in of_class.items():
        count = max(1, round(len(positions) * VALIDATION_FRACTION)) if len(positions) > 1 else 0
        chosen.update(random.Random(f"{seed} {label}").sample(positions, count))
    if not chosen:
        raise UserError(f"{train.folder} has one image per class, too few to set some aside for validation")

    def part(name: str, inside: bool) -> Phase:
        positions = [position for position in range(len(train)) if (position in chosen) == inside]
        return replace(
            train,
            name=name,
            files=tuple(train.files[position] for position in positions),
            labels=tuple(train.labels[position] for position in positions),
        )

    return part("train", False), replace(part("validation", True), passed_over={})


def _read_phase(name: str, folder: Path, classes: tuple[str, ...]) -> Phase:
    files, labels, passed_over = [], [], Counter()
    passed_over.update(_kind(path) for path in folder.iterdir() if path.is_file())
    for class_name, class_folder in sorted(_class_folders(name, folder).items()):
        if class_name not in classes:
            raise UserError(f"{name} has a class {class_name!r} that train lacks; accepted: {_some(classes)}")
        found = _images_below(class_folder, passed_over)
        if not found:
            accepted = ", ".join(images.SUFFIXES)
            raise UserError(f"class folder {class_folder} has no images; accepted: files ending in {accepted}")
        files += (str(path.relative_to(folder)) for path in found)
        labels += [classes.index(class_name)] * len(found)
    return Phase(name, folder, tuple(files), tuple(labels), passed_over)


def _class_folders(phase: str, folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}, the {phase} images, is not a folder; accepted: {LAYOUT}")
    found = {path.name: path for path in _visible_folders(folder)}
    if not found:
        loose = sum(path.suffix.lower() in images.SUFFIXES for path in folder.iterdir())
        held = f"{loose} images but no class folder" if loose else "neither class folders nor images: it is empty"
        raise UserError(f"the {phase} folder {folder} holds {held}; accepted: {LAYOUT}")
    return found


def _visible_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "." and path.name != ARCHIVE_LITTER]


def _images_below(folder: Path, passed_over: Counter) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            path = Path(parent, name)
            if name[0] != "." and path.suffix.lower() in images.SUFFIXES:
                found.append(path)
            else:
                passed_over[_kind(path)] += 1
    return found


def _kind(path: Path) -> str:
    return "hidden" if path.name[0] == "." else path.suffix.lower() or "no suffix"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
