"""Small files that people and other programs write, read strictly; and files of ours, replaced as a whole."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from classifier.errors import UserError
from classifier.json_text import parse_json, type_name

# A hundred times what a configuration or the metadata of an artifact needs.
MOST_BYTES = 16_000_000


def temporary_folder() -> Path:
    """Return the folder for temporary files. Raises UserError if no folder can be written."""
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise UserError("no folder for temporary files, such as /tmp, can be written; TMPDIR chooses one") from error


def read_text(path: Path) -> str:
    """Return the text of `path`, in UTF-8 or, as some editors write it, in UTF-16 or with a byte order mark.

    Lines end with a line feed, however they do in the file.

    Raises FileNotFoundError, and UserError if it is not such a file.
    """
    try:
        check_regular(path)
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"{path} has more than {MOST_BYTES:,} bytes; accepted: up to that many")
        # Of the encodings that JSON may have. In TOML too, the first two characters are ASCII.
        return data.decode(json.detect_encoding(data)).replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        if path.is_symlink():  # or it would count as absent, with all its values
            raise UserError(f"{path} is a link to nothing") from None
        raise
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8 or UTF-16: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def read_json(path: Path) -> dict:
    """Return the JSON object in `path`. Raises FileNotFoundError, and UserError if it is not one."""
    text = read_text(path)
    try:
        value = parse_json(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds {type_name(value)}; accepted: an object")
    return value


def check_regular(path: Path) -> None:
    """Raise UserError if `path` is a folder, a pipe or a device, whose reading may never end; or FileNotFoundError."""
    path.stat()
    if not path.is_file():
        raise UserError(f"{path} is not a regular file")


def write_file(path: Path, *contents: bytes | memoryview) -> None:
    """Replace `path` by a file of `contents`, so that at any moment it has all of the old ones or all of the new.

    Raises OSError, with the path.
    """
    with written_aside(path, *contents) as aside:
        aside.replace(path)
    flush_folder(path.parent)


@contextmanager
def written_aside(path: Path, *contents: bytes | memoryview) -> Iterator[Path]:
    """Yield a file beside `path`, with `contents` that are on the disk; it is removed if the block leaves it there.

    Raises OSError, with `path`.
    """
    aside = partial_of(path)
    try:
        with errors_named(path), aside.open("wb") as file:
            for content in contents:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        with suppress(OSError):
            aside.unlink()


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Give an OSError of the block the `path`, which it lacks where a disk is full."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def partial_of(path: Path) -> Path:
    """Return the path of `path` while it is written; what is there at a program's start was cut off."""
    return path.with_name(f".{path.name}.partial")


def flush_folder(folder: Path) -> None:
    """Write the folder's entries, such as a rename, to the disk, where its file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
