"""The report's figures of an evaluation: how good the network is, what it confuses, and its worst mistakes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from classifier.activation_maps import png_text
from classifier.training import shares
from classifier.training.data.folders import Phase
from classifier.training.evaluate import Evaluation, Mistake
from classifier.training.reporting import charts
from classifier.training.reporting.csv_files import per_class
from classifier.training.reporting.pictures import Album
from classifier.training.reporting.summary import Summary

# Pairs of confused classes that are listed, those whose photos are shown too, and how many photos each.
MOST_PAIRS, PICTURED_PAIRS, PHOTOS_OF_PAIR = 300, 10, 6
# True class, predicted class, count, and share of the true class's images.
Confused = tuple[str, str, int, float]


def evaluation_part(summary: Summary, album: Album) -> dict[str, Any]:
    """Return the values for report_confusion.html and the figures above it; the worst mistakes go into `album`."""
    evaluation, classes = summary.evaluation, summary.dataset.classes
    if evaluation is None:
        return {"matrix": None, "per_class": [], "confused": [], "mistakes": []}
    images, best = len(evaluation.labels), summary.history.best
    phase = summary.dataset.phase(evaluation.phase)
    confused = most_confused(evaluation.confusion, classes)
    shown = pictured(evaluation, confused, classes) if summary.shows_photos else ()
    rows = sorted(per_class(classes, evaluation), key=lambda row: row[-1])
    return {
        "images": images,
        "accuracy_between": shares.between(evaluation.accuracy, images),
        "why_not_calibrated": best.why_not_calibrated if best else "",
        "known": known_images(best, evaluation) if best else "",
        "matrix": charts.draw_or_warn(charts.confusion_matrix, evaluation.confusion, classes),
        "per_class": [(*row, shares.between(row[3], row[1])) for row in rows],
        "predicted": dict(zip(classes, evaluation.confusion.sum(0).tolist(), strict=True)),
        "confused": confused,
        "mistakes": [_mistake(mistake, phase, album, summary) for mistake in shown],
    }


def known_images(best: Evaluation, evaluation: Evaluation) -> str:
    """Return how many images of the best validation, and of the `evaluation`, are known, as sentences."""
    if why_not := best.familiarity.why_not:
        return f"Answers do not say whether an image is known: {why_not}."
    phases = {one.phase: one.familiarity for one in (best, evaluation) if one.familiarity.images}
    counted = [f"of {name} {shares.words(one.share, one.images)}" for name, one in phases.items()]
    if not counted:  # in a job that an earlier version began
        return ""
    return (
        f"Answers call an image known if it is like the validation images: {' and '.join(counted)}. Of other images "
        "confidence says nothing."
    )


def most_confused(confusion: np.ndarray, classes: tuple[str, ...], most: int = MOST_PAIRS) -> list[Confused]:
    """Return the most frequent confusions, the most frequent first."""
    errors = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    totals = np.maximum(1, confusion.sum(1))
    return [(classes[i], classes[j], int(errors[i, j]), errors[i, j] / totals[i]) for i, j in pairs if errors[i, j]]


def pictured(evaluation: Evaluation, confused: list[Confused], classes: tuple[str, ...]) -> Iterator[Mistake]:
    """Yield the worst mistakes, then the most confident ones of the most confused pairs that are not among them."""
    yield from evaluation.mistakes
    seen = {mistake.position for mistake in evaluation.mistakes}
    for label, predicted, _, _ in confused[:PICTURED_PAIRS]:
        i, j = classes.index(label), classes.index(predicted)
        of_pair = np.flatnonzero((evaluation.labels == i) & (evaluation.predicted == j))
        for one in of_pair[np.argsort(-evaluation.confidence[of_pair], kind="stable")][:PHOTOS_OF_PAIR]:
            if (position := int(evaluation.positions[one])) not in seen:
                yield Mistake(float(evaluation.confidence[one]), position, i, j)


def _mistake(mistake: Mistake, phase: Phase, album: Album, summary: Summary) -> dict[str, object]:
    classes = summary.dataset.classes
    pixels = album.seen_pixels(phase.folder / phase.files[mistake.position], summary.hp.image_size)
    explained = ""
    if pixels is not None and summary.maps and summary.evaluation and mistake in summary.evaluation.mistakes:
        (values,) = summary.maps.maps(pixels, [mistake.predicted])
        explained = png_text(values) if values.size > 1 else ""  # one place says nothing
    return {
        "file": phase.shown(mistake.position),
        "source": None if pixels is None else album.put(Image.fromarray(pixels)),
        "map": explained,
        "label": classes[mistake.label],
        "predicted": classes[mistake.predicted],
        "pair": (classes[mistake.label], classes[mistake.predicted]),
        "confidence": mistake.confidence,
    }
