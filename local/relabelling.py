"""Decide where the images move that a person has marked in labels.csv."""

import os
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path

from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.data.folders import Dataset, Phase, read_dataset
from classifier.training.data.leave_out import LeaveOut
from classifier.training.labels.columns import NO, YES
from local.listed import Listed
from local.marks import MARKS, read_rows
from local.moving import Move, planned, record_of
from local.second_names import check_one_name, find_names
from local.spreadsheets import check_given, check_likely


def marked_moves(labels: Path, folder: Path) -> list[Move]:
    """Return how the marked images of `labels` move within `folder`.

    Raises UserError if the file is not a labels.csv, or is not of these images and classes, or if its marks have been
    moved already.
    """
    if (record := record_of(labels)).exists():
        raise UserError(f"{record} says that this file's marks have been moved already; --undo moves them back first")
    dataset = read_dataset({"train": folder}, seed=0)
    listed = Listed(dataset)
    moves: dict[Path, Path] = {}
    targets: set[Path] = set()
    leave_out = LeaveOut([folder])
    names = find_names(dataset, leave_out)

    def is_taken(place: Path) -> bool:
        # A name that the list has, if of a file that is gone, would leave out the image.
        return os.path.lexists(place) or place in targets or leave_out.has(place)

    rows = read_rows(labels)
    texts = {row[column] for _, row in rows for column in ("given", "likely")}
    for number, row in rows:
        mark, where = row["move"].strip().lower(), f"{labels}, line {number}"
        if mark not in YES + NO:
            raise UserError(f"{where}, has {shown(row['move'])} under move; accepted: {MARKS}")
        if mark in NO:
            continue
        phase, position = listed.find(row, where)
        given = dataset.classes[phase.labels[position]]
        check_given(row["given"], row["file"], given, where)
        check_likely(row["likely"], dataset.classes, texts, where)
        source = phase.folder / phase.files[position]
        if source in moves:
            raise UserError(f"{where}: {shown(row['file'])} is marked twice; accepted: once")
        check_one_name(source, names, where)
        target = _class_folder(dataset, phase, row["likely"])
        if target in source.parents:
            raise UserError(f"{where}: {source} is in its likely class already")
        moves[source] = _free_place(source, given, target, is_taken)
        targets.add(moves[source])
    return [planned(folder, source, target) for source, target in moves.items()]


def _class_folder(dataset: Dataset, phase: Phase, name: str) -> Path:
    """Return the folder of a class in a phase, by an image that is in it."""
    of_phases = [phase]
    if dataset.split_from_train and phase.name != "test":
        of_phases = [dataset.train, dataset.validation]
    for one in of_phases:
        for file, label in zip(one.files, one.labels, strict=True):
            if dataset.classes[label] == name:
                return one.folder / Path(file).parts[0]
    return of_phases[0].folder / name


def _free_place(source: Path, given: str, target: Path, is_taken: Callable[[Path], bool]) -> Path:
    """Return the path of `source`, of the class `given`, in the folder `target`: with its class in the name if need be.

    Many sets number the images of each class, and some those of each folder in it.
    """
    named = f"{source.stem} from {given}"
    more = (f"{named} {number}" for number in count(2))
    places = (target / f"{stem}{source.suffix}" for stem in chain((source.stem, named), more))
    return next(place for place in places if not is_taken(place))
