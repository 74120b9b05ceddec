"""Folders and image files as they are on the disk: links, what is no image, and a bound on what is read."""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from classifier import images
from classifier.contract import MOST_PAYLOAD_MB
from classifier.errors import UserError
from classifier.training.data.names import printable, quoted
from classifier.training.data.packed import unpacking
from classifier.words import plural

# As large as the largest request that the server takes.
MOST_BYTES = MOST_PAYLOAD_MB * 2**20
# Folders that macOS, Windows, Linux, Python and the makers of network disks put beside a user's own, in lower case.
OF_A_SYSTEM = {
    *("__macosx", "temporary items", "network trash folder"),
    *("$recycle.bin", "$windows.~bt", "$winreagent", "system volume information", "windowsimagebackup"),
    *("lost+found", "lost.dir", "__pycache__", "~snapshot"),
    *("@eadir", "@sharebin", "#recycle", "#snapshot"),
    *("@recycle", "@recently-snapshot", "@__thumb"),
}
# These could be classes too: they are passed over if they hold no image.
OR_A_CLASS = {"recycled", "recycler", "config.msi", "windowsapps", "@tmp", "node_modules"}
# Windows names the pieces of files that it repaired FOUND.000, FOUND.001, ...
PIECES = re.compile(r"found\.\d{3}")


class FileState(NamedTuple):
    """What tells a file from another one without reading it; `is_linked` says that it may have a second name."""

    size: int
    device_and_inode: tuple[int, int]
    is_linked: bool


NO_TARGET = "is a link to nothing; accepted: a link to a folder of images"
# Of a link to nothing, which is named when it cannot be read.
NO_FILE = FileState(-1, (-1, -1), False)


@dataclass
class Contents:
    """What is directly in a folder: images, folders, names of other files and links to nothing, and counts of the rest.

    A link to nothing that has an image's name is among the images, which are read one by one.
    """

    images: dict[str, FileState] = field(default_factory=dict)
    folders: "dict[str, Folder]" = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    broken_links: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


class Folder:
    """A folder, listed when its contents are first asked for."""

    def __init__(self, path: Path):
        self.path = path
        self.real = os.path.realpath(path)

    def __str__(self) -> str:
        return printable(self.path)

    def holds(self, other: "Folder") -> bool:
        """Return whether `other` is this folder or in it, links followed."""
        return other.real == self.real or other.real.startswith(f"{self.real.rstrip(os.sep)}{os.sep}")

    @property
    def images(self) -> dict[str, FileState]:
        return self.contents.images

    @property
    def folders(self) -> "dict[str, Folder]":
        return self.contents.folders

    @cached_property
    def contents(self) -> Contents:
        """List the folder. Raises UserError if it is not a folder, or cannot be read."""
        contents = Contents()
        try:
            with os.scandir(self.path) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except (NotADirectoryError, FileNotFoundError) as error:
            raise UserError(
                f"{self} is not a folder; accepted: a folder of images{unpacking([self.path.name])}"
            ) from error
        except OSError as error:
            raise UserError(f"the folder {self} cannot be read: {error.strerror}") from error
        for entry in entries:
            self._add(contents, entry)
        return contents

    def _add(self, contents: Contents, entry: os.DirEntry) -> None:
        name, suffix = entry.name, Path(entry.name).suffix.lower()
        is_folder = _is(entry.is_dir)
        if name[0] == ".":
            contents.passed_over["hidden"] += 1
        elif is_folder:
            folder = Folder(self.path / name)
            if is_of_a_system(name) or (name.lower() in OR_A_CLASS and not holds_images(folder)):
                contents.passed_over["system folder"] += 1
            else:
                contents.folders[name] = folder
        elif suffix in images.SUFFIXES and (_is(entry.is_file) or is_broken_link(entry)):
            contents.images[name] = _state(entry)
        elif is_broken_link(entry):
            if not suffix:
                raise UserError(f"{self}/{printable(name)} {NO_TARGET}")
            contents.broken_links.append(name)
            contents.passed_over["link to nothing"] += 1
        elif not _is(entry.is_file):
            contents.passed_over["not a regular file"] += 1
        else:
            contents.others.append(name)
            contents.passed_over[printable(suffix) or "no suffix"] += 1

    def held(self) -> str:
        """Say what is directly in this folder, if not images, and how to come to them."""
        contents = self.contents
        if names := [*contents.folders, *contents.others]:
            return f"only {quoted(*names)}{unpacking(names)}"
        rest = ", ".join(f"{count} {kind}" for kind, count in sorted(contents.passed_over.items()))
        return f"only what is passed over ({rest})" if rest else "it is empty"


def is_of_a_system(name: str) -> bool:
    """Return whether a folder of this name is an operating system's or a program's, not the user's."""
    return name.lower() in OF_A_SYSTEM or bool(PIECES.fullmatch(name.lower()))


def is_broken_link(entry: os.DirEntry) -> bool:
    """Return whether it is a link to what is absent, cannot be reached, or is the link itself."""
    if not entry.is_symlink():
        return False
    try:
        entry.stat()
    except OSError:
        return True
    return False


def walk(top: Folder, strict: bool = False) -> Iterator[Folder]:
    """Yield `top` and the folders below it, each real folder once.

    A link to a folder outside `top` is not followed; if `strict`, it raises UserError.
    """
    seen, waiting = {top.real}, [top]
    while waiting:
        folder = waiting.pop()
        yield folder
        for below in reversed(folder.folders.values()):
            if not top.holds(below):
                if strict:
                    raise UserError(
                        f"{below} is a link to {printable(below.real)}, outside the class folder {top}; accepted: "
                        "links to single images, and a link in place of a whole class folder"
                    )
            elif below.real not in seen:
                seen.add(below.real)
                waiting.append(below)


def holds_images(folder: Folder) -> bool:
    return any(below.images for below in walk(folder))


def read_image_file(path: Path) -> bytes:
    """Return the bytes of a regular file of at most MOST_BYTES. Raises ImageError for any other, and OSError."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise images.ImageError("not a regular file")
    if state.st_size > MOST_BYTES:
        raise images.ImageError(f"{plural(state.st_size, 'byte')} are too many; accepted: up to {MOST_BYTES:,}")
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _state(entry: os.DirEntry) -> FileState:
    try:
        state = entry.stat()
    except OSError:
        return NO_FILE
    is_linked = entry.is_symlink() or state.st_nlink > 1
    return FileState(state.st_size, (state.st_dev, state.st_ino), is_linked)


def _is(question: Callable[[], bool]) -> bool:
    """Return the answer to a question about a directory entry; False if a link leads in a circle."""
    try:
        return question()
    except OSError:
        return False
