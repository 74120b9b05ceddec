"""The phases of a data set: their images and classes, found in folders without reading an image."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from classifier import images
from classifier.errors import UserError
from classifier.training.data.files import Folder, walk
from classifier.training.data.layout import OTHER_CHANNELS, find_classes, find_layout
from classifier.training.data.leave_out import LeaveOut
from classifier.training.data.names import printable, quoted

VALIDATION_FRACTION = 0.2
MOST_KINDS = 20


@dataclass(frozen=True)
class Phase:
    """The images of one phase: `files` below `folder`, and the index of each one's class.

    `passed_over` counts the other files and folders by kind.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    passed_over: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.files)

    def shown(self, position: int) -> str:
        """Return the name of a file as logs, reports and CSV files have it."""
        return printable(self.files[position])


@dataclass(frozen=True)
class Dataset:
    """The phases of a data set and its sorted class names.

    `split_from_train` says that no validation set was given, so a part of train was set aside. `notes` has sentences
    about folders that were gone through or are not used.
    """

    classes: tuple[str, ...]
    train: Phase
    validation: Phase
    test: Phase | None
    split_from_train: bool
    notes: tuple[str, ...] = ()

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(phase for phase in (self.train, self.validation, self.test) if phase)

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase.name == name)


def read_dataset(channels: Mapping[str, Path], seed: int) -> Dataset:
    """Find the images of every phase in `channels`.

    Without a validation channel, a part of each class of train becomes one, chosen by `seed`. Raises UserError if the
    layout is not one that LAYOUT names. Images that leave_out.txt in a channel names are passed over.
    """
    layout = find_layout(channels)
    leave_out = LeaveOut(folder for name, folder in channels.items() if name not in OTHER_CHANNELS)
    folders = {phase: find_classes(phase, folder) for phase, folder in layout.phases.items()}
    classes = tuple(sorted(folders["train"]))
    if len(classes) < 2:
        raise UserError(
            f"{layout.phases['train']} has 1 class folder ({quoted(*classes)}); "
            "accepted: at least 2, each a folder of images"
        )
    read: dict[str, Folder] = {}
    phases = {
        name: _read_phase(name, folder, folders[name], classes, read, leave_out)
        for name, folder in layout.phases.items()
    }
    notes = (*layout.notes, *leave_out.notes())
    split = "validation" not in phases
    if split:
        phases["train"], phases["validation"] = split_phase(phases["train"], seed)
    return Dataset(classes, phases["train"], phases["validation"], phases.get("test"), split, notes)


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


def _read_phase(
    name: str,
    folder: Folder,
    class_folders: Mapping[str, Folder],
    classes: tuple[str, ...],
    read: dict[str, Folder],
    leave_out: LeaveOut,
) -> Phase:
    """Return the images of a phase. `read` has the folders that were read so far, by their real path."""
    files, labels, passed_over = [], [], Counter(folder.contents.passed_over)
    passed_over.update(Path(image).suffix.lower() for image in folder.images)
    for class_name, class_folder in sorted(class_folders.items()):
        if class_name not in classes:
            raise UserError(f"{name} has a class {quoted(class_name)} that train lacks; accepted: {quoted(*classes)}")
        before = len(files)
        for below in walk(class_folder, strict=True):
            known = read.setdefault(below.real, below)
            if known is not below:
                raise UserError(f"{known} and {below} are the same folder; accepted: each folder of images once")
            inside = below.path.relative_to(folder.path)
            kept = [image for image in below.images if not leave_out.has(below.path / image)]
            files += (f"{inside}/{image}" for image in kept)
            passed_over.update(below.contents.passed_over)
            passed_over.update({"left out": len(below.images) - len(kept)})
        if len(files) == before:
            if any(below.images for below in walk(class_folder)):
                raise UserError(f"leave_out.txt names all images of class folder {class_folder}; accepted: all but one")
            raise UserError(
                f"class folder {class_folder} has no images: {class_folder.held()}; "
                f"accepted: files ending in {', '.join(images.SUFFIXES)}"
            )
        labels += [classes.index(class_name)] * (len(files) - before)
    return Phase(name, folder.path, tuple(files), tuple(labels), _few_kinds(passed_over))


def _few_kinds(counts: Counter[str]) -> dict[str, int]:
    """Return the counts, of which the rarest are summed up: files may be numbered behind a point."""
    most = dict((+counts).most_common(MOST_KINDS))
    rest = counts.total() - sum(most.values())
    return most | ({"of other kinds": rest} if rest else {})
