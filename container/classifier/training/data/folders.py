"""The phases of a data set: their images and classes, found in folders without reading an image."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from classifier import images
from classifier.errors import UserError
from classifier.training.data.files import FileState, Folder, walk
from classifier.training.data.layout import find_classes, find_layout
from classifier.training.data.leave_out import LeaveOut
from classifier.training.data.names import escaped, look, printable, quoted
from classifier.training.data.passed_over import broken_links, few_kinds, packed_files

VALIDATION_FRACTION = 0.2
SET_ASIDE = "about 20 % of each class, and at least one image of two or more"


@dataclass(frozen=True)
class Phase:
    """The images of one phase: `files` below `folder`, the index of each one's class, and their `sizes` in bytes.

    `passed_over` counts the other files and folders by kind.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    passed_over: Mapping[str, int]
    sizes: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def shown(self, position: int) -> str:
        """Return the name of a file as logs, reports and CSV files have it."""
        return escaped(self.files[position])

    def path(self, position: int) -> str:
        return f"{printable(self.folder)}/{self.shown(position)}"

    def only(self, chosen: Sequence[bool]) -> "Phase":
        """Return the phase with only the images for which `chosen` has True."""
        files, labels, sizes = (tuple(compress(column, chosen)) for column in (self.files, self.labels, self.sizes))
        return replace(self, files=files, labels=labels, sizes=sizes)


@dataclass(frozen=True)
class Dataset:
    """The phases of a data set and its sorted class names.

    `split_from_train` says that no validation set was given, so a part of train was set aside. `notes` has sentences
    about folders that were gone through or are not used. `loose` are images that are not used, since they lie beside
    the class folders or the splits.
    """

    classes: tuple[str, ...]
    train: Phase
    validation: Phase
    test: Phase | None
    split_from_train: bool
    notes: tuple[str, ...] = ()
    loose: tuple[Path, ...] = ()

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(phase for phase in (self.train, self.validation, self.test) if phase)

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase.name == name)


def read_dataset(channels: Mapping[str, Path], seed: int, around: Path | None = None) -> Dataset:
    """Find the images of every phase in `channels`, which the folder `around` holds if it is a job's.

    Without a validation channel, a part of each class of train becomes one, chosen by `seed`. Raises UserError if the
    layout is not one that LAYOUT names, or if a file is an image of two classes or of two phases. Images that
    leave_out.txt in a channel, or around them, names are passed over.
    """
    layout = find_layout(channels)
    leave_out = LeaveOut([*([around] if around else []), *layout.channels])
    folders = {phase: find_classes(phase, folder) for phase, folder in layout.phases.items()}
    classes = tuple(sorted(folders["train"]))
    if len(classes) < 2:
        raise UserError(
            f"{layout.phases['train']} has 1 class folder ({quoted(*classes)}); "
            "accepted: at least 2, each a folder of images"
        )
    read: dict[str, Folder] = {}
    phases = drop_repetitions(
        [_read_phase(name, folder, folders[name], classes, read, leave_out) for name, folder in layout.phases.items()]
    )
    outside = [*layout.above, *layout.phases.values()]
    loose = tuple(
        image for folder in outside for image in map(folder.path.joinpath, folder.images) if not leave_out.has(image)
    )
    notes = (*layout.notes, *leave_out.notes(), *broken_links(read.values()), *packed_files([*outside, *read.values()]))
    split = "validation" not in phases
    if split:
        phases["train"], phases["validation"] = split_phase(phases["train"], seed)
    return Dataset(classes, phases["train"], phases["validation"], phases.get("test"), split, notes, loose)


def drop_repetitions(found: Sequence[tuple[Phase, Sequence[FileState]]]) -> dict[str, Phase]:
    """Return the phases by name, with each file once, whatever links there are to it.

    `found` has them with the state of each image's file. Raises UserError if a file is an image of two classes, or of
    two phases: it would be learned and then tested.
    """
    linked = {state.device_and_inode for _, states in found for state in states if state.is_linked}
    first: dict[tuple[int, int], tuple[Phase, int]] = {}
    phases = {}
    for phase, states in found:
        again = set()
        for position, state in enumerate(states):
            if state.device_and_inode not in linked:
                continue
            known, place = first.setdefault(state.device_and_inode, (phase, position))
            if known is not phase or known.labels[place] != phase.labels[position]:
                raise UserError(
                    f"{known.path(place)} and {phase.path(position)} are the same file; "
                    "accepted: each image in one class of one phase"
                )
            if place != position:
                again.add(position)
        if again:
            phase = replace(phase, passed_over={**phase.passed_over, "second names of an image": len(again)})
            phase = phase.only([position not in again for position in range(len(phase))])
        phases[phase.name] = phase
    return phases


def split_phase(train: Phase, seed: int) -> tuple[Phase, Phase]:
    """Split `train` into train and validation: VALIDATION_FRACTION of every class, rounded, as SET_ASIDE says.

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

    aside = [position in chosen for position in range(len(train))]
    validation = replace(train.only(aside), name="validation", passed_over={})
    return train.only([not is_aside for is_aside in aside]), validation


def _read_phase(
    name: str,
    folder: Folder,
    class_folders: Mapping[str, Folder],
    classes: tuple[str, ...],
    read: dict[str, Folder],
    leave_out: LeaveOut,
) -> tuple[Phase, list[FileState]]:
    """Return the images of a phase, and each one's state. `read` has the folders read so far, by their real path."""
    files, labels, states = [], [], []
    passed_over = Counter(folder.contents.passed_over)
    passed_over.update(f"{Path(image).suffix.lower()} in no class folder" for image in folder.images)
    for class_name, class_folder in sorted(class_folders.items()):
        if class_name not in classes:
            alike = [one for one in classes if look(one) == look(class_name)]
            shown = f"{ascii(class_name)}, not {ascii(alike[0])}," if alike else quoted(class_name)
            raise UserError(f"{name} has a class {shown} that train lacks; accepted: {quoted(*classes)}")
        before = len(files)
        for below in walk(class_folder, strict=True):
            known = read.setdefault(below.real, below)
            if known is not below:
                raise UserError(f"{known} and {below} are the same folder; accepted: each folder of images once")
            inside = below.path.relative_to(folder.path)
            kept = {image: state for image, state in below.images.items() if not leave_out.has(below.path / image)}
            files += (f"{inside}/{image}" for image in kept)
            states += kept.values()
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
    sizes = tuple(state.size for state in states)
    return Phase(name, folder.path, tuple(files), tuple(labels), few_kinds(passed_over), sizes), states
