"""Move images within a folder, all or none, and back; a record beside labels.csv says which were moved."""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from classifier import files
from classifier.errors import UserError
from classifier.words import plural
from local import carrying


@dataclass(frozen=True)
class Move:
    """The paths of an image in the folder before and after, and what it says if it is a relative symbolic link."""

    source: str
    target: str
    link: str = ""

    def make(self, folder: Path) -> None:
        """Move the image; a relative link goes on to lead to its file. Raises OSError."""
        old, new = folder / self.source, folder / self.target
        new.parent.mkdir(parents=True, exist_ok=True)
        carrying.carry(old, new)
        if self.link:
            _write_link(new, _seen_from(new.parent, old.parent, self.link))

    def take_back(self, folder: Path) -> None:
        """Move the image to where it was; a link says what it said. Raises OSError."""
        old, new = folder / self.source, folder / self.target
        old.parent.mkdir(parents=True, exist_ok=True)
        carrying.carry(new, old)
        self.restore_link(folder)

    def restore_link(self, folder: Path) -> None:
        """Let the link say what it said, if it is in its old place, and one still. Raises OSError."""
        if self.link and (folder / self.source).is_symlink():
            _write_link(folder / self.source, self.link)


def planned(folder: Path, source: Path, target: Path) -> Move:
    """Return the move of an image to another path in `folder`."""
    link = _text_of(source) if source.is_symlink() else ""
    inside, there = str(source.relative_to(folder)), str(target.relative_to(folder))
    return Move(inside, there, "" if Path(link).is_absolute() else link)


def move(labels: Path, folder: Path, moves: Sequence[Move]) -> list[Path]:
    """Make the moves, keep beside `labels` what --undo needs, and return the folders that are gone, being empty then.

    Raises UserError, and then none has moved but for those that it says the record keeps.
    """
    for one in moves:
        if why_not := _obstacle(folder / one.source, folder / one.target):
            raise UserError(why_not)
    _write_record(record_of(labels), moves)
    begun: list[Move] = []
    try:
        for one in moves:
            begun.append(one)
            one.make(folder)
    except OSError as error:
        left = [one for one in begun if os.path.lexists(folder / one.target) and _take_back(one, folder)]
        _remove_empty(folder, [one.target for one in moves])
        _keep(record_of(labels), left)
        failed = begun[-1]
        stay = f"; {plural(len(left), 'image')} could not be moved back either: --undo tries again" if left else ""
        raise UserError(_cannot(folder / failed.source, folder / failed.target, f": {error.strerror}{stay}")) from error
    return _remove_empty(folder, [one.source for one in moves])


def undo(labels: Path, folder: Path) -> tuple[int, list[str]]:
    """Take back what move() has made, and return how many images are in their places, and why each other one is not.

    The record keeps those others. Raises UserError if there is nothing to take back.
    """
    record = record_of(labels)
    moves = _read_record(record, labels)
    if not any(os.path.lexists(folder / one.target) for one in moves):  # of another folder too: the record has to stay
        raise UserError(
            f"{folder} has no image that {record} says was moved; accepted: the folder that was moved in, or, if these "
            "images are gone, the record removed"
        )
    left: dict[Move, str] = {}
    for one in moves:
        if why_not := _take_back(one, folder):
            left[one] = why_not
    _remove_empty(folder, [one.target for one in moves])
    _keep(record, left)
    return len(moves) - len(left), list(left.values())


def _take_back(one: Move, folder: Path) -> str:
    """Take a move back, and return why it cannot be, or ""."""
    now, before = folder / one.target, folder / one.source
    try:
        carrying.drop_copy(now, before)
        if os.path.lexists(before) and not os.path.lexists(now):
            one.restore_link(folder)  # an undo or a move that was interrupted has left it there
            return ""
        if not (why_not := _obstacle(now, before)):
            one.take_back(folder)
        return why_not
    except OSError as error:
        return _cannot(now, before, f": {error.strerror}")


def _keep(record: Path, moves: Collection[Move]) -> None:
    """Let the record have only these moves, and remove it if there are none."""
    if moves:
        _write_record(record, moves)
    else:
        record.unlink()


def record_of(labels: Path) -> Path:
    return labels.with_name(f"{labels.name}.moved.json")


def _write_record(record: Path, moves: Iterable[Move]) -> None:
    entries = {one.source: [one.target, one.link] if one.link else one.target for one in moves}
    try:
        files.write_file(record, (json.dumps(entries, indent=2) + "\n").encode())
    except OSError as error:
        raise UserError(f"{record} cannot be written: {error.strerror}") from error


def _read_record(record: Path, labels: Path) -> list[Move]:
    try:
        entries = files.read_json(record)
    except FileNotFoundError:
        raise UserError(f"{record} is missing: nothing was moved by {labels}") from None
    moves = []
    for source, entry in entries.items():
        texts = entry if isinstance(entry, list) else [entry]
        are_texts = len(texts) in (1, 2) and all(isinstance(text, str) for text in texts)
        if not (are_texts and _is_inside(source) and _is_inside(texts[0])):
            raise UserError(f"{record} is damaged; accepted: paths in the folder of images, from and to")
        moves.append(Move(source, *texts))
    return moves


def _obstacle(old: Path, new: Path) -> str:
    """Return why `old` cannot be renamed to `new`, or "". A link is there, whatever it leads to."""
    if not old.is_symlink() and not old.is_file():
        return _cannot(old, new, ": it is missing")
    return _cannot(old, new, ", which is there already") if os.path.lexists(new) else ""


def _cannot(old: Path, new: Path, why: str) -> str:
    return f"{old} cannot become {new}{why}"


def _seen_from(new: Path, old: Path, link: str) -> str:
    """Return what a link in the folder `new` has to say to lead where `link` leads in the folder `old`.

    Folders on the way may be links, after which ".." leads elsewhere than it seems.
    """
    leads_to = Path(os.path.realpath(old), link)
    return os.path.relpath(Path(os.path.realpath(leads_to.parent), leads_to.name), os.path.realpath(new))


def _text_of(link: Path) -> str:
    return os.readlink(link)  # noqa: PTH115 # which leaves out "./"


def _write_link(path: Path, text: str) -> None:
    """Let a symbolic link say `text`, so that at any moment it says that or what it said before. Raises OSError."""
    if _text_of(path) == text:
        return
    aside = files.partial_of(path)
    aside.unlink(missing_ok=True)
    aside.symlink_to(text)
    aside.replace(path)


def _remove_empty(folder: Path, names: Iterable[str]) -> list[Path]:
    """Remove the empty ones of the folders in `folder` that had these files, since training refuses empty classes."""
    removed = []
    for name in names:
        with suppress(OSError):  # the first folder that is not empty
            for above in list((folder / name).parents)[: len(Path(name).parts) - 1]:
                above.rmdir()
                removed.append(above)
    return removed


def _is_inside(path: str) -> bool:
    return not Path(path).is_absolute() and ".." not in Path(path).parts
