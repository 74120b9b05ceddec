"""What Python code gives to `train` and `Model`, and no parser of arguments has checked."""

from numbers import Integral
from pathlib import Path

from classifier import files
from classifier.errors import UserError
from classifier.json_text import shown

PICTURE = "the path of a picture, or the bytes of its file"


def path(value: object, accepted: str) -> Path:
    """Return a path. Raises UserError if `value` is none, or empty, which would be the current folder."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise UserError(f"{_called(value)} is not accepted; accepted: {accepted}")
    return Path(value)


def file_bytes(picture: object) -> bytes:
    """Return the bytes of a file, which are given or read. Raises UserError for anything else, and OSError."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    file = path(picture, PICTURE)
    files.check_regular(file)
    return file.read_bytes()


def count(k: object) -> int:
    """Return how many classes are asked for. Raises UserError if that is not a whole number from 1."""
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise UserError(f"k is {shown(k)}; accepted: a whole number from 1")
    return int(k)


def _called(value: object) -> str:
    """Return a text as it is, and the type of anything else, which may be a whole picture."""
    return shown(value) if isinstance(value, str) else f"a value of the type {type(value).__qualname__}"
