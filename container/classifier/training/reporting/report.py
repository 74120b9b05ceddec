"""report.html: the whole job on one self-contained page."""

import platform
from datetime import datetime
from pathlib import Path

from classifier.files import write_file
from classifier.training import hyperparameters
from classifier.training.accepted_values import text_of
from classifier.training.artifact_files import VERSIONS
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.labels.in_job import Suspect
from classifier.training.reporting import charts, pages
from classifier.training.reporting.data_part import data_part
from classifier.training.reporting.evaluation_part import evaluation_part
from classifier.training.reporting.opening import opening
from classifier.training.reporting.parts import debugging_part, guarded, profiling_part
from classifier.training.reporting.pictures import Album
from classifier.training.reporting.summary import Summary

MOST_SUSPECTS = 24


def write_report(path: Path, summary: Summary) -> None:
    """Render `summary` as HTML to `path`."""
    album = Album() if summary.shows_photos else Album(0)
    evaluation, observed, part = summary.evaluation, summary.observed, evaluation_part(summary, album)
    values = part | {
        "summary": summary,
        "dataset": summary.dataset,
        "history": summary.history,
        "evaluation": evaluation,
        "opening": opening(evaluation, summary.origin, observed.debugging.rules, part["confused"])
        if evaluation
        else [],
        "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "curves": _curves(summary.history),
        "labels": wrong_labels(summary, album),
        "data": your_data(summary, album),
        "debugging": debugging_part(observed.debugging, summary.history, summary.hp.batch_size),
        "profiling": profiling_part(observed.profile, observed.findings),
        "skipped": summary.skipped.rows(),
        "hyperparameters": _hyperparameters(summary.hp),
        "environment": {"device": summary.device, "machine": platform.platform()} | VERSIONS,
    }
    write_file(path, pages.fill_in("report.html", values).encode())


@guarded
def your_data(summary: Summary, album: Album) -> dict[str, object]:
    """Return the values for report_data.html; {} if the data were not checked."""
    if summary.data is None:
        return {}
    return data_part(summary.data.survey, summary.data.findings, album)


@guarded
def wrong_labels(summary: Summary, album: Album) -> dict[str, object]:
    """Return the values for report_labels.html; {} if the labels were not checked."""
    if summary.labels is None:
        return {}
    shown = summary.labels.suspects[:MOST_SUSPECTS]
    return {
        "count": len(summary.labels.suspects),
        "images": summary.labels.images,
        "why_not": summary.labels.why_not,
        "shown": [_suspect(suspect, summary, album) for suspect in shown],
    }


def _suspect(suspect: Suspect, summary: Summary, album: Album) -> dict[str, object]:
    phase, classes = summary.dataset.phase(suspect.phase), summary.dataset.classes
    path = phase.folder / phase.files[suspect.position]
    return {
        "file": f"{phase.name}: {phase.shown(suspect.position)}",
        "source": album.put_seen(path, summary.hp.image_size),
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


def _hyperparameters(hp: Hyperparameters) -> list[tuple[str, str, bool]]:
    """Return each hyperparameter's name, its value, and whether that differs from the default."""
    return [
        (name, text_of(getattr(hp, name)), getattr(hp, name) != item.default)
        for name, item in hyperparameters.FIELDS.items()
    ]
