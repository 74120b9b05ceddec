"""Move images between class folders as a marked labels.csv says, and back: all of them or none."""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from classifier import files
from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.data.folders import Dataset, read_dataset
from classifier.training.labels.columns import LABELS_COLUMNS, NO, YES
from classifier.words import plural

MARKS = f"{', '.join(YES)} to move; {', '.join(filter(None, NO))} or nothing to leave"


def marked_moves(labels: Path, folder: Path) -> dict[str, str]:
    """Return the paths in `folder` from and to which the marked images of `labels` move.

    Raises UserError if the file is not a labels.csv, or is not of these images, if its marks have been moved already,
    or if a file would be replaced.
    """
    if (record := _record(labels)).exists():
        raise UserError(f"{record} says that this file's marks have been moved already; --undo moves them back first")
    dataset = read_dataset({"train": folder}, seed=0)
    known = {(phase.name, phase.shown(at)): phase.files[at] for phase in dataset.phases for at in range(len(phase))}
    moves: dict[str, str] = {}
    for number, row in _rows(labels):
        mark, where = row["move"].strip().lower(), f"{labels}, line {number}"
        if mark not in YES + NO:
            raise UserError(f"{where}, has {shown(row['move'])} under move; accepted: {MARKS}")
        if mark in NO:
            continue
        phase, file = _find(dataset, known, row, where)
        source = dataset.phase(phase).folder / file
        if str(source.relative_to(folder)) in moves:
            raise UserError(f"{where}: {shown(row['file'])} is marked twice; accepted: once")
        target = _free_place(source, _class_folder(dataset, phase, row["likely"], where), folder, moves, where)
        moves[str(source.relative_to(folder))] = str(target.relative_to(folder))
    return moves


def move(labels: Path, folder: Path, moves: Mapping[str, str]) -> list[Path]:
    """Rename the files, keep beside `labels` what --undo needs, and return the folders that are gone, being empty then.

    Raises UserError, and then none has moved.
    """
    record = _record(labels)
    try:
        files.write_file(record, (json.dumps(dict(moves), indent=2) + "\n").encode())
    except OSError as error:
        raise UserError(f"{record} cannot be written: {error.strerror}") from error
    try:
        return _rename(folder, moves)
    except UserError:
        record.unlink()
        raise


def undo(labels: Path, folder: Path) -> int:
    """Move back what move() has moved, and return the number of files. Raises UserError, and then none has moved."""
    record = _record(labels)
    try:
        moves = files.read_json(record)
    except FileNotFoundError:
        raise UserError(f"{record} is missing: nothing was moved by {labels}") from None
    if not all(isinstance(name, str) and _is_inside(source) and _is_inside(name) for source, name in moves.items()):
        raise UserError(f"{record} is damaged; accepted: paths in the folder of images, from and to")
    # A move that was interrupted has left some where they were.
    unmoved = {one for one, name in moves.items() if (folder / one).exists() and not os.path.lexists(folder / name)}
    if len(unmoved) == len(moves):  # in another folder too, so that the record has to stay
        raise UserError(f"{folder} has no image that {record} says was moved; accepted: the folder that was moved in")
    try:
        _rename(folder, {target: source for source, target in moves.items() if source not in unmoved})
    except UserError as error:
        raise UserError(f"{error}; accepted: the files as they were moved, or {record} without their lines") from error
    record.unlink()
    return len(moves)


def _rows(labels: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows, each with the number of its line."""
    try:
        text = files.read_text(labels)
    except FileNotFoundError:
        raise UserError(f"{labels} is missing; accepted: the labels.csv of a training job") from None
    except UserError as error:
        how = '; accepted from Excel: "CSV UTF-8"' if isinstance(error.__cause__, UnicodeError) else ""
        raise UserError(f"{error}{how}") from error
    first, _, rest = text.partition("\n")
    of_excel = re.fullmatch('"?sep=."?[,;\t]*', first, re.IGNORECASE) is not None  # a line that only Excel reads
    text = rest if of_excel else text
    head = text.partition("\n")[0]
    # Spreadsheets of many countries write semicolons, and "Unicode text" has tabs.
    delimiter = next((other for other in ";\t" if other in head), ",")
    # Strict, or a quote that is not closed would make the rest of the file, with its marks, one field.
    table = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        table.fieldnames = names = [name.strip().lower() for name in table.fieldnames or ()]
        rows = [(table.line_num + of_excel, row) for row in table]
    except csv.Error as error:
        where = f"{labels}, line {table.line_num + of_excel}"
        raise UserError(f"{where}, cannot be read: {error}; accepted: CSV") from error
    for name in LABELS_COLUMNS[:5]:
        if (count := names.count(name)) != 1:
            has = plural(count, "column") if count else "no column"
            raise UserError(f"{labels} has {has} {name}; accepted: a labels.csv, with {', '.join(LABELS_COLUMNS)}")
    return [(number, {name: row.get(name) or "" for name in LABELS_COLUMNS}) for number, row in rows]


def _find(
    dataset: Dataset, known: Mapping[tuple[str, str], str], row: Mapping[str, str], where: str
) -> tuple[str, str]:
    """Return phase and file of a row: validation may be set aside from train, and by another seed."""
    phases = ("train", "validation") if dataset.split_from_train and row["phase"] != "test" else (row["phase"],)
    for phase in phases:
        if (phase, row["file"]) in known:
            return phase, known[phase, row["file"]]
    raise UserError(
        f"{where}: {shown(row['file'])} is not among the {row['phase']} images; "
        "accepted: the job's own folder, and images in it that leave_out.txt does not name"
    )


def _class_folder(dataset: Dataset, phase: str, name: str, where: str) -> Path:
    """Return the folder of a class in a phase, by an image that is in it."""
    if name not in dataset.classes:
        raise UserError(f"{where}: {shown(name)} is not a class; accepted: {', '.join(dataset.classes)}")
    of_phases = [dataset.phase(phase)]
    if dataset.split_from_train and phase != "test":
        of_phases = [dataset.train, dataset.validation]
    for one in of_phases:
        for file, label in zip(one.files, one.labels, strict=True):
            if dataset.classes[label] == name:
                return one.folder / Path(file).parts[0]
    return of_phases[0].folder / name


def _free_place(source: Path, target: Path, folder: Path, moves: Mapping[str, str], where: str) -> Path:
    """Return the path of `source` in the folder `target`; with its folder in the name if its own is taken.

    Many sets number the images of each class. Raises UserError if both names are taken, or if it is there already.
    """
    if target in source.parents:
        raise UserError(f"{where}: {source} is in its likely class already")
    taken = {folder / path for path in moves.values()}
    own, other = target / source.name, target / f"{source.stem} from {source.parent.name}{source.suffix}"
    for place in (own, other):
        if not os.path.lexists(place) and place not in taken:
            return place
    raise UserError(f"{where}: {other} is there already; rename one of the two files")


def _rename(folder: Path, moves: Mapping[str, str]) -> list[Path]:
    """Rename all files or none, and return the folders that are gone, being empty then."""
    for source, target in moves.items():
        if not (folder / source).is_file():
            raise UserError(f"{folder / source} cannot become {folder / target}: it is missing")
        if os.path.lexists(folder / target):
            raise UserError(f"{folder / source} cannot become {folder / target}, which is there already")
    done: list[tuple[Path, Path]] = []
    for old, new in ((folder / source, folder / target) for source, target in moves.items()):
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            old.rename(new)
        except OSError as error:
            for before, now in reversed(done):
                now.rename(before)
            _remove_empty(folder, moves.values())
            raise UserError(f"{old} cannot become {new}: {error.strerror}") from error
        done.append((old, new))
    return _remove_empty(folder, moves)


def _remove_empty(folder: Path, names: Iterable[str]) -> list[Path]:
    """Remove the empty ones of the folders in `folder` that had these files, since training refuses empty classes."""
    removed = []
    for name in names:
        with suppress(OSError):  # the first folder that is not empty
            for above in list((folder / name).parents)[: len(Path(name).parts) - 1]:
                above.rmdir()
                removed.append(above)
    return removed


def _record(labels: Path) -> Path:
    return labels.with_name(f"{labels.name}.moved.json")


def _is_inside(path: str) -> bool:
    return not Path(path).is_absolute() and ".." not in Path(path).parts
