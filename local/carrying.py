"""Carry a file to another folder, also to one on another disk: it is on one of both at any moment, whole."""

import errno
import filecmp
import os
import shutil
from contextlib import suppress
from pathlib import Path

from classifier import files


def carry(old: Path, new: Path) -> None:
    """Rename `old` to `new`, which is not there yet, or copy it to that disk and remove it then. Raises OSError."""
    try:
        old.rename(new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_whole(old, new)
        try:
            old.unlink()
        except OSError:
            new.unlink()
            raise


def copy_whole(old: Path, new: Path) -> None:
    """Copy a file, or what a link says, with its times; `new` is there as a whole or not at all. Raises OSError."""
    aside = files.partial_of(new)
    aside.unlink(missing_ok=True)
    try:
        shutil.copyfile(old, aside, follow_symlinks=False)
        if not aside.is_symlink():
            with aside.open("rb") as copy:
                os.fsync(copy.fileno())
        with suppress(OSError):  # some file systems have neither times nor permissions to set
            shutil.copystat(old, aside, follow_symlinks=False)
        aside.rename(new)
    finally:
        aside.unlink(missing_ok=True)
    files.flush_folder(new.parent)


def drop_copy(copy: Path, original: Path) -> None:
    """Remove what carry() left at `copy`, where it was interrupted before it removed the `original`. Raises OSError."""
    files.partial_of(copy).unlink(missing_ok=True)
    if is_copy(copy, original):
        copy.unlink()


def is_copy(one: Path, other: Path) -> bool:
    """Return whether two files, which are not one by another path, have the same bytes, or two links say the same."""
    if not (os.path.lexists(one) and os.path.lexists(other)) or os.path.samestat(one.lstat(), other.lstat()):
        return False
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)  # noqa: PTH115
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
