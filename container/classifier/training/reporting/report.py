"""report.html: the whole job on one self-contained page."""

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from classifier.activation_maps import ActivationMaps, png_text
from classifier.files import write_file
from classifier.training import hyperparameters, shares
from classifier.training.artifact_files import VERSIONS
from classifier.training.checking.in_job import DataCheck
from classifier.training.data.folders import Dataset, Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.debugging.debugger import Debugging
from classifier.training.evaluate import Evaluation, Mistake
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.labels.in_job import LabelCheck, Suspect
from classifier.training.profiling.profiler import Profile
from classifier.training.reporting import charts
from classifier.training.reporting.csv_files import per_class
from classifier.training.reporting.data_part import data_part
from classifier.training.reporting.opening import opening
from classifier.training.reporting.parts import debugging_part, guarded, profiling_part
from classifier.training.reporting.pictures import data_url, seen_picture, seen_pixels
from classifier.words import plural

MOST_ROWS = 10
MOST_SUSPECTS = 24
# Pairs of confused classes that are listed, those whose photos are shown too, and how many photos each.
MOST_PAIRS, PICTURED_PAIRS, PHOTOS_OF_PAIR = 300, 10, 6


@dataclass(frozen=True)
class Observed:
    """The results of debugging and profiling."""

    debugging: Debugging
    profile: Profile
    findings: list[str]


@dataclass(frozen=True)
class Summary:
    """The job that the report describes.

    `evaluation` is that of the test phase, or else that of the best epoch's validation; `ending` says why the job ended
    early, if it did. Without `photos` the images' files are not read. `data` and `labels` are what their checks found,
    `job` is the job's name, and `maps` explain the network's mistakes.
    """

    hp: Hyperparameters
    dataset: Dataset
    history: History
    evaluation: Evaluation | None
    skipped: SkippedImages
    origin: str
    device: str
    ending: str | None
    observed: Observed
    data: DataCheck | None = None
    labels: LabelCheck | None = None
    photos: bool = True
    job: str = ""
    maps: ActivationMaps | None = None


def write_report(path: Path, summary: Summary) -> None:
    """Render `summary` as HTML to `path`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["percent"] = lambda value: f"{value:.1%}"
    environment.filters["breakable"] = breakable
    environment.filters["between"], environment.filters["plural"] = shares.between, plural
    environment.filters["sentence"] = lambda text: f"{text[:1].upper()}{text[1:]}."
    parts, observed = _evaluation_parts(summary), summary.observed
    confused, debugging = parts["confused"], debugging_part(observed.debugging, summary.history, summary.hp.batch_size)
    page = environment.get_template("report.html").render(
        summary=summary,
        dataset=summary.dataset,
        history=summary.history,
        evaluation=summary.evaluation,
        **parts,
        opening=opening(summary.evaluation, summary.origin, observed.debugging.rules, confused)
        if summary.evaluation
        else [],
        written=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        curves=_curves(summary.history),
        data=your_data(summary),
        labels=wrong_labels(summary),
        debugging=debugging,
        profiling=profiling_part(observed.profile, observed.findings),
        skipped=summary.skipped.rows(),
        hyperparameters=_hyperparameters(summary.hp),
        environment={"device": summary.device, "machine": platform.platform()} | VERSIONS,
    )
    write_file(path, page.encode())


@guarded
def your_data(summary: Summary) -> dict[str, object]:
    """Return the values for report_data.html; {} if the data were not checked."""
    photos = summary.hp.report_images and summary.photos
    return data_part(summary.data.survey, summary.data.findings, photos) if summary.data else {}


@guarded
def wrong_labels(summary: Summary) -> dict[str, object]:
    """Return the values for report_labels.html; {} if the labels were not checked."""
    if summary.labels is None:
        return {}
    shown = summary.labels.suspects[:MOST_SUSPECTS]
    return {
        "count": len(summary.labels.suspects),
        "images": summary.labels.images,
        "way": summary.labels.way,
        "why_not": summary.labels.why_not,
        "shown": [_suspect(suspect, summary) for suspect in shown],
    }


def _suspect(suspect: Suspect, summary: Summary) -> dict[str, object]:
    phase, classes = summary.dataset.phase(suspect.phase), summary.dataset.classes
    photos = summary.hp.report_images and summary.photos
    path = phase.folder / phase.files[suspect.position]
    return {
        "file": f"{phase.name}: {phase.shown(suspect.position)}",
        "source": seen_picture(path, summary.hp.image_size) if photos else None,
        "given": classes[suspect.given],
        "likely": classes[suspect.likely],
        "probability_given": suspect.probability_given,
        "probability_likely": suspect.probability_likely,
    }


def _curves(history: History) -> list[str]:
    if history.best_epoch is None:  # no epoch is complete
        return []
    drawn = (
        charts.draw_or_warn(charts.curve, history.epochs, name, history.best_epoch) for name in ("loss", "accuracy")
    )
    return list(filter(None, drawn))


def _evaluation_parts(summary: Summary) -> dict[str, Any]:
    evaluation, classes = summary.evaluation, summary.dataset.classes
    if evaluation is None:
        return {"matrix": None, "per_class": [], "confused": [], "mistakes": []}
    images, best = len(evaluation.labels), summary.history.best
    phase = summary.dataset.phase(evaluation.phase)
    confused = most_confused(evaluation.confusion, classes, MOST_PAIRS)
    shown = pictured(evaluation, confused, classes) if summary.hp.report_images and summary.photos else ()
    return {
        "images": images,
        "accuracy_between": shares.between(evaluation.accuracy, images),
        "why_not_calibrated": best.why_not_calibrated if best else "",
        "known": known_images(best, evaluation) if best else "",
        "matrix": charts.draw_or_warn(charts.confusion_matrix, evaluation.confusion, classes),
        "per_class": sorted(per_class(classes, evaluation), key=lambda row: row[-1]),
        "confused": confused,
        "mistakes": [_mistake(mistake, phase, classes, summary) for mistake in shown],
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


def most_confused(
    confusion: np.ndarray, classes: tuple[str, ...], most: int = MOST_ROWS
) -> list[tuple[str, str, int, float]]:
    """Return the most frequent confusions: true class, predicted class, count, and share of the true class's images."""
    errors = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    totals = np.maximum(1, confusion.sum(1))
    return [(classes[i], classes[j], int(errors[i, j]), errors[i, j] / totals[i]) for i, j in pairs if errors[i, j]]


def pictured(
    evaluation: Evaluation, confused: list[tuple[str, str, int, float]], classes: tuple[str, ...]
) -> Iterator[Mistake]:
    """Yield the worst mistakes, then the most confident ones of the most confused pairs that are not among them."""
    yield from evaluation.mistakes
    seen = {mistake.position for mistake in evaluation.mistakes}
    for label, predicted, _, _ in confused[:PICTURED_PAIRS]:
        i, j = classes.index(label), classes.index(predicted)
        of_pair = np.flatnonzero((evaluation.labels == i) & (evaluation.predicted == j))
        for one in of_pair[np.argsort(-evaluation.confidence[of_pair], kind="stable")][:PHOTOS_OF_PAIR]:
            if (position := int(evaluation.positions[one])) not in seen:
                yield Mistake(float(evaluation.confidence[one]), position, i, j)


def breakable(name: str) -> Markup:
    """Return a name as HTML that may break after its separators, of which browsers know only the hyphen."""
    return Markup(re.sub(r"([_./])", r"\1<wbr/>", str(escape(name))))


def _mistake(mistake: Mistake, phase: Phase, classes: tuple[str, ...], summary: Summary) -> dict[str, object]:
    pixels = seen_pixels(phase.folder / phase.files[mistake.position], summary.hp.image_size)
    explained = ""
    if pixels is not None and summary.maps and summary.evaluation and mistake in summary.evaluation.mistakes:
        (values,) = summary.maps.maps(pixels, [mistake.predicted])
        explained = png_text(values) if values.size > 1 else ""  # one place says nothing
    return {
        "file": phase.shown(mistake.position),
        "source": None if pixels is None else data_url(Image.fromarray(pixels)),
        "map": explained,
        "label": classes[mistake.label],
        "predicted": classes[mistake.predicted],
        "pair": (classes[mistake.label], classes[mistake.predicted]),
        "confidence": mistake.confidence,
    }


def _hyperparameters(hp: Hyperparameters) -> list[tuple[str, str, bool]]:
    """Return each hyperparameter's name, its value, and whether that differs from the default."""
    return [
        (name, hyperparameters.text_of(getattr(hp, name)), getattr(hp, name) != item.default)
        for name, item in hyperparameters.FIELDS.items()
    ]
