"""The job's CSV files: predictions, confusion matrix, per-class metrics and skipped images."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from classifier.files import write_file
from classifier.training.data.folders import Dataset
from classifier.training.data.skipped import SkippedImages
from classifier.training.evaluate import Evaluation
from classifier.training.labels.columns import LABELS_COLUMNS, LABELS_FILE
from classifier.training.labels.in_job import LabelCheck
from classifier.training.outputs import MATRIX, PER_CLASS, PREDICTIONS, SKIPPED_FILE


def write_csv_files(folder: Path, dataset: Dataset, evaluation: Evaluation | None, skipped: SkippedImages) -> None:
    """Write the files to `folder`, named after the evaluated phase; without `evaluation`, only the skipped images."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / SKIPPED_FILE, ("phase", "file", "reason"), skipped.rows())
    if evaluation is None:
        return
    name = evaluation.phase
    columns = ("file", "class", "predicted", "confidence")
    _write_csv(folder / f"{name}_{PREDICTIONS}", columns, _predictions(dataset, evaluation))
    matrix = ((name, *row) for name, row in zip(dataset.classes, evaluation.confusion.tolist(), strict=True))
    _write_csv(folder / f"{name}_{MATRIX}", ("true class \\ predicted", *dataset.classes), matrix)
    columns = ("class", "images", "precision", "recall", "f1")
    _write_csv(folder / f"{name}_{PER_CLASS}", columns, per_class(dataset.classes, evaluation))


def write_labels(folder: Path, dataset: Dataset, labels: LabelCheck) -> None:
    """Write labels.csv, in which a person marks the images that launch/relabel.py moves."""
    rows = (
        (
            "",
            suspect.phase,
            dataset.phase(suspect.phase).shown(suspect.position),
            dataset.classes[suspect.given],
            dataset.classes[suspect.likely],
            round(suspect.probability_given, 5),
            round(suspect.probability_likely, 5),
        )
        for suspect in labels.suspects
    )
    _write_csv(folder / LABELS_FILE, LABELS_COLUMNS, rows)


def per_class(classes: tuple[str, ...], evaluation: Evaluation) -> list[tuple[str, int, float, float, float]]:
    """Return each class, its number of images, precision, recall and F1, in the order of `classes`."""
    figures = (evaluation.confusion.sum(1), evaluation.precision, evaluation.recall, evaluation.f1)
    return list(zip(classes, *(figure.round(5).tolist() for figure in figures), strict=True))


def _predictions(dataset: Dataset, evaluation: Evaluation) -> Iterable[tuple]:
    phase = dataset.phase(evaluation.phase)
    columns = (evaluation.positions, evaluation.labels, evaluation.predicted, evaluation.confidence)
    for position, label, predicted, confidence in zip(*(column.tolist() for column in columns), strict=True):
        yield phase.shown(position), dataset.classes[label], dataset.classes[predicted], round(confidence, 5)


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_file(path, text.getvalue().encode())
