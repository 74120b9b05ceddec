"""leave_out.txt: the images of a data set that are not used. launch/check.py writes it; a person may change it."""

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from classifier import files
from classifier.errors import UserError
from classifier.training.data.names import escaped, printable, quoted, unescaped
from classifier.words import plural

NAME = "leave_out.txt"
HEAD = """\
# Images that training, upload.py and the demo leave out, a path in this folder per line, written by launch/check.py.
# Remove a line, or put a # before it, to use an image; remove the file to use all.
"""


class LeaveOut:
    """The images that the lists in some folders leave out.

    A line may be written as another system, an earlier version or a person writes paths, unless it is the exact name of
    another image.
    """

    def __init__(self, folders: Iterable[Path]):
        """Read the lists, if there are any. Raises UserError if one cannot be read."""
        self.lists: dict[Path, set[str]] = {}
        self.alike: dict[Path, dict[str, str]] = {}  # the lines, by what _alike() makes of them
        self.met: set[tuple[Path, str]] = set()
        for folder in folders:
            try:
                lines = files.read_text(folder / NAME).split("\n")
            except FileNotFoundError:
                continue
            named = {line.removeprefix("./") for line in lines if (text := line.strip()) and text[0] != "#"}
            self.lists[folder] = named
            self.alike[folder] = {_inside(folder, _alike(line)): line for line in named}

    def has(self, path: Path) -> bool:
        """Return whether a list names this image."""
        for folder, named in self.lists.items():
            name, written = name_in(folder, path), printable(os.path.relpath(path, folder))
            lines = (name, written if written in named else self.alike[folder].get(_alike(written)))
            line = next((line for line in lines if line in named), None)
            if line and (line == name or not _is_anothers(folder, line, path)):
                self.met.add((folder, line))
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
                accepted = "accepted: a path in its folder on each line"
                said.append(f"{shown} has {lines}, such as {quoted(unknown[0])}; {accepted}")
        return said


def name_in(folder: Path, path: Path) -> str:
    """Return the name of an image in a list of `folder`."""
    return escaped(os.path.relpath(path, folder))


def _alike(name: str) -> str:
    """Return what names of an image have in common: Windows writes backslashes, and macOS takes letters apart."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/"))


def _is_anothers(folder: Path, line: str, path: Path) -> bool:
    """Return whether a line, which looks like `path`, is the name of another image, or else the path of one."""
    meant = next((folder / text for text in (unescaped(line), line) if os.path.lexists(folder / text)), None)
    return meant is not None and _inside(folder, str(meant)) != os.path.relpath(path, folder)


def _inside(folder: Path, text: str) -> str:
    """Return the path in `folder` that a line means; an absolute one may name the folder by another path than ours."""
    path = Path(os.path.normpath(folder / text))
    if Path(text).is_absolute() and "\0" not in text:
        real = os.path.realpath(folder)
        for above in path.parents:
            if os.path.realpath(above) == real:
                return os.path.relpath(path, above)
    return os.path.relpath(path, folder)


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
            yield f"{mark}{'./' * name.lstrip().startswith('#')}{name}\n"
