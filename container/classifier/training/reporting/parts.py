"""The charts and sentences of the report's debugging and profiling parts."""

import functools
import logging
from collections.abc import Callable
from typing import get_args

from classifier.training.debugging.debugger import Debugging
from classifier.training.debugging.rules.verdicts import Status
from classifier.training.history import History
from classifier.training.profiling.job_time import PARTS
from classifier.training.profiling.profiler import Profile
from classifier.training.reporting import charts_debugging, charts_profiling
from classifier.training.reporting.loss_trends import training_trend, validation_trend
from classifier.words import plural

logger = logging.getLogger(__name__)
ORDER = get_args(Status)
LAYER_CHARTS = (
    (
        "gradient",
        charts_debugging.gradients,
        "Layers from input (top) to output. Even colours are healthy. A dark band is a layer that hardly learns; a row "
        "that gets brighter and brighter is a layer that is about to diverge.",
    ),
    (
        "update",
        charts_debugging.updates,
        "How far one step moves the weights, relative to their size, in the median layer of each part of the network. "
        "Far above the grey band, lr is too high; far below it, too low. The lines end low because lr does.",
    ),
    (
        "dead",
        charts_debugging.dead_units,
        "Dead units were active in less than 1 % of recent cases, and no longer learn. More than half of a layer "
        "(dotted line) is too many.",
    ),
)


def guarded(part: Callable[..., dict]) -> Callable[..., dict]:
    """Make `part` return its error if it cannot be drawn, so that the job and the rest of the report go on."""

    @functools.wraps(part)
    def draw(*arguments) -> dict[str, object]:
        try:
            return part(*arguments)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            logger.warning("the report lacks its %s: %s", part.__name__.replace("_", " "), why)
            return {"broken": why, "rules": ()}

    return draw


@guarded
def debugging_part(debugging: Debugging, history: History, batch_size: int) -> dict[str, object]:
    """Return the values for report_debugging.html."""
    series = debugging.series
    saved = series.get("saved", {})
    whole = len(series.get("steps", ()))
    return {
        "why": debugging.why,
        "error": debugging.rules_error,
        "rules": sorted(debugging.rules, key=lambda verdict: (ORDER.index(verdict["status"]), bool(verdict["cause"]))),
        "saved": {"train": saved.get("train", 0), "whole": whole, "other": saved.get("validation and test", 0)},
        "trends": trends(history, batch_size),
        "layers": [
            (draw(series["steps"], series[name]), text) for name, draw, text in LAYER_CHARTS if series.get(name)
        ],
    }


def trends(history: History, batch_size: int) -> list[tuple[str, str]]:
    """Return the charts of single steps' losses, each with its sentences."""
    shown = []
    if training := training_trend(history.train_losses):
        chart = charts_debugging.training_losses(history.train_losses, training)
        shown.append((chart, training.sentences(batch_size)))
    if validation := validation_trend(history.validation_losses, history.validation_means):
        chart = charts_debugging.validation_losses(history.validation_losses, validation)
        shown.append((chart, validation.sentences()))
    return shown


@guarded
def profiling_part(profile: Profile, findings: list[str]) -> dict[str, object]:
    """Return the values for report_profiling.html."""
    drawn = [charts_profiling.steps(profile.steps)] if profile.steps else []
    if len(profile.samples) > 1:
        drawn.append(charts_profiling.utilisation(profile.samples))
    return {
        "why": profile.why,
        "findings": findings,
        "charts": drawn,
        "sentence": summary(profile),
        "spans": [(part, PARTS[part], seconds, profile.span_share(part)) for part, seconds in profile.spans.items()],
        "operators": profile.operators,
        "trace": profile.trace,
    }


def summary(profile: Profile) -> str:
    """Return a sentence on the duration of a step, if steps were timed."""
    if not profile.steps:
        return ""
    return (
        f"{plural(len(profile.steps), 'step')} after the warm-up took {profile.step_milliseconds():,.0f} ms on average."
    )
