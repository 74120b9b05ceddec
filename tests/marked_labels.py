"""A folder of splits and a labels.csv with the marks of a person, for tests of what launch/relabel.py moves."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path

from classifier.training.labels.columns import LABELS_COLUMNS
from datasets import touch_images
from local.relabelling import marked_moves


def write_splits(root: Path) -> Path:
    """Write splits of images, each of which holds its own name, and return their folder."""
    data = root / "data"
    for split in ("train", "validation", "test"):
        touch_images(data / split, cat=3, dog=3)
    for path in data.rglob("*.jpg"):
        path.write_text(str(path))
    return data


def write_labels(
    folder: Path, *rows: tuple[str, str, str, str], given: str = "cat", delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    """Write a labels.csv beside `folder`; each row has a mark, phase, file and likely class. Returns its path."""
    path = folder.parent / "labels.csv"
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(LABELS_COLUMNS)
        writer.writerows((mark, phase, name, given, likely, 0.01, 0.9) for mark, phase, name, likely in rows)
    return path


def files_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.jpg")}


def moves_of(labels: Path, folder: Path) -> Mapping[str, str]:
    """Return the target of each image that is marked, by its source."""
    return {one.source: one.target for one in marked_moves(labels, folder)}


def text_of(link: Path) -> str:
    """Return what a symbolic link says, byte for byte."""
    return os.readlink(link)  # noqa: PTH115 # which leaves out "./"
