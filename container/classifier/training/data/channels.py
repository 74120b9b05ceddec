"""The channels of a job that are folders of images, and the files that lie beside them or in their place."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from classifier.errors import UserError
from classifier.training.data.files import Folder, is_of_a_system
from classifier.training.data.leave_out import NAME as LIST
from classifier.training.data.names import printable, quoted
from classifier.training.data.packed import unpacking
from classifier.training.data.split_names import phases_of
from classifier.words import is_are

# Channels with weights to start from.
OTHER_CHANNELS = ("model", "pretrained")
LAYOUT = (
    "a channel train (or training) with a folder per class, or one channel that holds train/, validation/ and test/"
)


def folders_of_images(channels: Mapping[str, Path], notes: list[str]) -> dict[str, Folder]:
    """Return the folders of images among the `channels`, and note the files. Raises UserError if there are none.

    A file that stands in the place of a channel's folder is refused: the job would go on without that channel. A
    list of images to leave out is not noted, since it is used.
    """
    folders: dict[str, Path] = {}
    files: dict[str, Path] = {}
    for name, path in channels.items():
        if not is_of_a_system(name) and name[0] != ".":
            (folders if path.is_dir() else files)[name] = path
    files.pop(LIST, None)
    refuse_files_as_channels(files, folders)
    given = {name: Folder(path) for name, path in folders.items() if name not in OTHER_CHANNELS}
    if not given:
        only = f", only {quoted(*files)}{unpacking(files)}" if files else ""
        raise UserError(f"no input channel with images{only}; accepted: {LAYOUT}")
    if files:
        notes.append(f"{quoted(*files)} {is_are(len(files))} not used beside the channels' folders")
    return given


def refuse_files_as_channels(files: Mapping[str, Path], folders: Iterable[str]) -> None:
    """Raises UserError if one of the `files` has the name of a channel that is not among the `folders`.

    Behind the name it may have the end of a packed file's or, of weights, any. A list such as test.csv is no channel.
    """
    there = {*folders, *phases_of(folders).values()}
    for name, path in files.items():
        stem, _, end = name.partition(".")
        of_weights, advice = stem in OTHER_CHANNELS, unpacking([path.name])
        channel = stem if of_weights else phases_of([stem])[stem]
        if channel and channel not in there and (of_weights or advice or not end):
            accepted = "a folder of weights" if of_weights else f"a folder of images{advice}"
            raise UserError(f"{printable(path)} is not a folder; accepted: {accepted}")
