"""The layout of a data set: which level of its folders are the splits, and which the classes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from classifier.errors import UserError
from classifier.training.data.channels import LAYOUT, OTHER_CHANNELS, folders_of_images
from classifier.training.data.files import NO_TARGET, Folder, holds_images, walk
from classifier.training.data.names import class_name, printable, quoted
from classifier.training.data.packed import unpacking
from classifier.training.data.split_names import PHASES, is_only_a_phase, names_of_a_split_class, phases_of
from classifier.words import is_are, plural


@dataclass
class Layout:
    """The folder of each phase that is given, in which the folders are classes, and what to tell the user about it.

    `above` has the folders around them, whose own files are of no phase, and `channels` the folders that were given.
    """

    phases: dict[str, Folder] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    above: list[Folder] = field(default_factory=list)
    channels: list[Path] = field(default_factory=list)


def find_layout(channels: Mapping[str, Path]) -> Layout:
    """Find the phases' folders in `channels`. Raises UserError with the accepted layouts, also without train."""
    layout = Layout()
    given = folders_of_images(channels, layout.notes)
    layout.channels = [folder.path for folder in given.values()]
    if len(given) == 1:
        ((channel, folder),) = given.items()
        folder = go_through_wrappers(folder, layout)
        given = find_splits(folder, layout) or {channel: folder}
    phases = match_phases(given)
    for phase, name in phases.items():
        layout.phases[phase] = go_through_wrappers(given[name], layout, phase)
    return layout


def match_phases(given: Mapping[str, Folder]) -> dict[str, str]:
    """Return the one of the names `given` that stands for each phase. Raises UserError if that is not clear."""
    found: dict[str, str] = {}
    for name, phase in phases_of(given).items():
        if phase is None:
            raise UserError(
                f"channel {quoted(name)} is none of {', '.join([*PHASES, *OTHER_CHANNELS])}"
                + unpacking(given[name].contents.others)
            )
        if phase in found:
            raise UserError(
                f"{quoted(found[phase])} and {quoted(name)} both hold the {phase} images; accepted: one of them"
            )
        found[phase] = name
    if "train" not in found:
        raise UserError(f"no train channel, only {quoted(*given)}; accepted: {LAYOUT}")
    return {phase: found[phase] for phase in PHASES if phase in found}


def find_splits(folder: Folder, layout: Layout) -> dict[str, Folder]:
    """Return the folders in `folder` that are named after phases; none if its folders are classes.

    A class may be called "train" (next to car and bus): a folder is a split if its own folders hold the images, or if a
    folder of another phase is beside it and folders in one of them hold images, or if all that there is beside it is
    named after a phase too. Raises UserError if a folder beside the splits holds images.
    """
    refuse_broken_links(folder)
    phases = phases_of(folder.folders)
    named = {name: folder.folders[name] for name, phase in phases.items() if phase}
    all_named = len(named) == len(phases) and "train" in phases.values() and len(set(phases.values())) > 1
    several = len({phases[name] for name in named}) > 1
    is_split = any(has_image_folders(split) and (several or not split.images) for split in named.values())
    if not all_named and not is_split:
        return {}
    for name in phases.keys() - named.keys():
        unused = folder.folders[name]
        if holds_images(unused):
            raise UserError(
                f"{unused} holds images, but stands beside {quoted(*named)} and is not named after a phase; "
                f"accepted beside them: {', '.join(PHASES)}, and folders without images"
            )
        layout.notes.append(f"{unused} is not used: it holds no images")
    layout.above.append(folder)
    if loose := folder.images:
        layout.notes.append(
            f"{plural(len(loose), 'image')} directly in {folder} {is_are(len(loose))} not used, "
            f"such as {quoted(next(iter(loose)))}"
        )
    return named


def go_through_wrappers(folder: Folder, layout: Layout, phase: str | None = None) -> Folder:
    """Return `folder` or, while all that it holds is one folder of folders, that one.

    A folder named after a phase other than `phase` is not gone through.
    """
    while not folder.images and len(folder.folders) == 1:
        ((name, inside),) = folder.folders.items()
        if inside.images or phases_of([name])[name] not in (None, phase):
            break
        refuse_circle(folder, inside)
        layout.notes.append(f"{folder} holds no folder but {quoted(name)}, so that one's folders are taken")
        layout.above.append(folder)
        folder = inside
    return folder


def find_classes(phase: str, folder: Folder) -> dict[str, Folder]:
    """Return the class folders in `folder` by class. Raises UserError if its folders cannot be classes."""
    if not folder.folders:
        loose = len(folder.images)
        held = (
            f"{plural(loose, 'image')} but no class folder{unpacking(folder.contents.others)}"
            if loose
            else f"neither class folders nor images: {folder.held()}"
        )
        raise UserError(f"the {phase} folder {folder} holds {held}; accepted: {LAYOUT}")
    refuse_broken_links(folder)
    classes: dict[str, Folder] = {}
    for name, inside in folder.folders.items():
        refuse_circle(folder, inside)
        known = classes.setdefault(class_name(name), inside)
        if known is not inside:
            raise UserError(
                f"the folders {ascii(known.path.name)} and {ascii(name)} in {folder} have names that look alike; "
                "accepted: one folder per class"
            )
    too_high = [inside for inside in classes.values() if not inside.images and holds_images(inside)]
    if too_high:
        named = " and ".join(f"{inside} ({quoted(*inside.folders)})" for inside in too_high[:3])
        raise UserError(
            f"class folders hold images, but there are only folders in {named}: {find_level(too_high)}; "
            f"accepted: {LAYOUT}"
        )
    refuse_splits_as_classes(folder)
    refuse_splits_in_classes(classes)
    return classes


def find_level(folders: list[Folder]) -> str:
    """Say which of some `folders` without images look like a data set, or else where the first one's images are."""
    sets = [str(folder) for folder in folders if is_data_set(folder)]
    if sets:
        return f"the data looks to be in {' or in '.join(sets[:3])}, so name that folder instead"
    return f"the first images are in {next(below for below in walk(folders[0]) if below.images)}"


def is_data_set(folder: Folder) -> bool:
    """Return whether a job with this folder alone would find classes."""
    try:
        classes = find_layout({"train": folder.path}).phases["train"].folders.values()
    except UserError:
        return False
    return len(classes) > 1 and all(inside.images for inside in classes)


def refuse_splits_as_classes(folder: Folder) -> None:
    """Raises UserError if folders of images, side by side in `folder`, are named after phases rather than classes."""
    names = [name for name, inside in folder.folders.items() if holds_images(inside)]
    if several := names_of_a_split_class(names):
        raise UserError(
            f"the class folders {quoted(*sorted(several))} in {folder} look like one class in several phases; "
            f"accepted: {LAYOUT}"
        )
    if phase := next(filter(is_only_a_phase, names), None):
        raise UserError(
            f"{folder.folders[phase]} stands beside class folders, but is named after a phase; accepted: {LAYOUT}; "
            "or another name, if it is a class"
        )


def refuse_splits_in_classes(classes: Mapping[str, Folder]) -> None:
    """Raises UserError if folders within classes look like splits, or like the classes of several data sets."""
    owners: dict[str, str] = {}
    for name, folder in classes.items():
        # A link out of the class is refused by its name later: what it leads to may be the whole disk.
        inside = [one for one, below in folder.folders.items() if folder.holds(below) and holds_images(below)]
        for one, phase in phases_of(inside).items():
            if (other := owners.setdefault(one.casefold(), name)) != name or phase:
                what = f"as {quoted(other)} has" if other != name else "which looks like a split"
                raise UserError(
                    f"the class folder {classes[name]} has a folder {quoted(one)} of images, {what}; accepted: {LAYOUT}"
                )


def has_image_folders(folder: Folder) -> bool:
    return any(map(holds_images, folder.folders.values()))


def refuse_broken_links(folder: Folder) -> None:
    """Raises UserError if `folder`, whose folders are classes or splits, has a link to nothing, which may be one."""
    for name in folder.contents.broken_links:
        raise UserError(f"{folder}/{printable(name)} {NO_TARGET}")


def refuse_circle(folder: Folder, inside: Folder) -> None:
    """Raises UserError if `inside`, an entry of `folder`, is a link to a folder that holds it."""
    if inside.holds(folder):
        raise UserError(
            f"{inside} is a link to {printable(inside.real)}, which holds it; accepted: a link to another class folder"
        )
