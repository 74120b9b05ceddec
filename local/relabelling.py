"""Decide where the images move that a person has marked in labels.csv."""

import os
from collections.abc import Mapping
from pathlib import Path

from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.data.folders import Dataset, Phase, read_dataset
from classifier.training.labels.columns import NO, YES
from local.marks import MARKS, read_rows
from local.moving import Move, planned, record_of
from local.spreadsheets import check_given, check_likely


def marked_moves(labels: Path, folder: Path) -> list[Move]:
    """Return how the marked images of `labels` move within `folder`.

    Raises UserError if the file is not a labels.csv, or is not of these images and classes, or if its marks have been
    moved already.
    """
    if (record := record_of(labels)).exists():
        raise UserError(f"{record} says that this file's marks have been moved already; --undo moves them back first")
    dataset = read_dataset({"train": folder}, seed=0)
    known = {(phase.name, phase.shown(at)): at for phase in dataset.phases for at in range(len(phase))}
    moves: dict[Path, Path] = {}
    rows = read_rows(labels)
    texts = {row[column] for _, row in rows for column in ("given", "likely")}
    for number, row in rows:
        mark, where = row["move"].strip().lower(), f"{labels}, line {number}"
        if mark not in YES + NO:
            raise UserError(f"{where}, has {shown(row['move'])} under move; accepted: {MARKS}")
        if mark in NO:
            continue
        phase, position = _find(dataset, known, row, where)
        given = dataset.classes[phase.labels[position]]
        check_given(row["given"], row["file"], given, where)
        check_likely(row["likely"], dataset.classes, texts, where)
        source = phase.folder / phase.files[position]
        if source in moves:
            raise UserError(f"{where}: {shown(row['file'])} is marked twice; accepted: once")
        moves[source] = _free_place(source, _class_folder(dataset, phase, row["likely"]), moves, where)
    return [planned(folder, source, target) for source, target in moves.items()]


def _find(
    dataset: Dataset, known: Mapping[tuple[str, str], int], row: Mapping[str, str], where: str
) -> tuple[Phase, int]:
    """Return phase and position of a row's image: validation may be set aside from train, and by another seed."""
    phases = ("train", "validation") if dataset.split_from_train and row["phase"] != "test" else (row["phase"],)
    for phase in phases:
        if (phase, row["file"]) in known:
            return dataset.phase(phase), known[phase, row["file"]]
    raise UserError(
        f"{where}: {shown(row['file'])} is not among the {row['phase']} images; "
        "accepted: the job's own folder, and images in it that leave_out.txt does not name"
    )


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


def _free_place(source: Path, target: Path, moves: Mapping[Path, Path], where: str) -> Path:
    """Return the path of `source` in the folder `target`; with its folder in the name if its own is taken.

    Many sets number the images of each class. Raises UserError if both names are taken, or if it is there already.
    """
    if target in source.parents:
        raise UserError(f"{where}: {source} is in its likely class already")
    own, other = target / source.name, target / f"{source.stem} from {source.parent.name}{source.suffix}"
    for place in (own, other):
        if not os.path.lexists(place) and place not in moves.values():
            return place
    raise UserError(f"{where}: {other} is there already; rename one of the two files")
