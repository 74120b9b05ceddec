"""leave_out.txt: the images of a data set that are not used. launch/check.py writes it; a person may change it."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from classifier import files
from classifier.errors import UserError
from classifier.training.data.names import printable, quoted
from classifier.words import plural

NAME = "leave_out.txt"
HEAD = """\
# Images that training, upload.py and the demo leave out, a path in this folder per line, written by launch/check.py.
# Remove a line, or put a # before it, to use an image; remove the file to use all.
"""


class LeaveOut:
    """The images that the lists in some folders leave out."""

    def __init__(self, folders: Iterable[Path]):
        """Read the lists, if there are any. Raises UserError if one cannot be read."""
        self.lists: dict[Path, set[str]] = {}
        self.met: set[tuple[Path, str]] = set()
        for folder in folders:
            try:
                lines = files.read_text(folder / NAME).split("\n")
            except (FileNotFoundError, NotADirectoryError):
                continue
            self.lists[folder] = {line.removeprefix("./") for line in lines if line.strip() and line[0] != "#"}

    def has(self, path: Path) -> bool:
        """Return whether a list names this image."""
        for folder, named in self.lists.items():
            if (name := name_in(folder, path)) in named:
                self.met.add((folder, name))
                return True
        return False

    def notes(self) -> list[str]:
        """Return what each list did, once every image was asked for."""
        said = []
        for folder, named in self.lists.items():
            met, shown = {name for of, name in self.met if of == folder}, printable(folder / NAME)
            said.append(f"{plural(len(met), 'image')} left out, as {shown} says")
            if unknown := sorted(named - met):
                lines = plural(len(unknown), "line that names no image", "lines that name no image")
                said.append(f"{shown} has {lines}, such as {quoted(unknown[0])}")
        return said


def name_in(folder: Path, path: Path) -> str:
    """Return the name of an image in a list of `folder`."""
    return printable(os.path.relpath(path, folder))


def write_list(folder: Path, left_out: Mapping[Path, str], doubtful: Mapping[Path, str]) -> Path:
    """Write the list of `folder`: images to leave out, with the kinds of their faults, and `doubtful` ones as comments.

    Returns its path. Raises UserError if it cannot be written.
    """
    lines = [*_by_kind(folder, left_out, "", ""), *_by_kind(folder, doubtful, "# ", ", for you to decide")]
    path = folder / NAME
    try:
        files.write_file(path, (HEAD + "".join(lines)).encode())
    except OSError as error:
        raise UserError(f"{printable(path)} cannot be written: {error.strerror}") from error
    return path


def _by_kind(folder: Path, kinds: Mapping[Path, str], mark: str, note: str) -> Iterable[str]:
    for kind in dict.fromkeys(kinds.values()):
        yield f"\n# {kind}{note}:\n"
        for path in sorted(path for path, one in kinds.items() if one == kind):
            name = name_in(folder, path)
            yield f"{mark}{'./' * name.startswith('#')}{name}\n"
