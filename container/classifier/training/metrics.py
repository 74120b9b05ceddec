"""The metrics: one table of their names, log formats, and the regexes with which a tuning job reads them."""

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.files import errors_named
from classifier.training.tensorboard import TensorBoard

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """One number in the log, written as "name=value"; `objective` is Minimize, Maximize or None."""

    name: str
    decimals: int
    objective: str | None = None

    @property
    def regex(self) -> str:
        """Return the Regex for MetricDefinitions. It does not match nan or inf, which a tuning job cannot use."""
        return rf"(?:^|\s){re.escape(self.name)}=(-?[0-9]+\.?[0-9]*)(?:\s|$)"

    def format(self, value: float) -> str:
        return f"{self.name}={value:.{self.decimals}f}"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("train:loss", 5),
        Metric("train:accuracy", 5),
        Metric("train:images_per_second", 1),
        Metric("validation:loss", 5, "Minimize"),
        Metric("validation:accuracy", 5, "Maximize"),
        Metric("validation:macro_f1", 5, "Maximize"),
        Metric("test:loss", 5),
        Metric("test:accuracy", 5),
        Metric("test:macro_f1", 5),
    )
}
# The start of an epoch's line in the log, with the epoch's number.
EPOCH = re.compile(r"epoch (\d+)/")
LOSS = "validation:loss"
OBJECTIVES = ("validation:accuracy", "validation:macro_f1", LOSS)


def better(objective: str, found: Mapping[str, float], best: Mapping[str, float] | None) -> bool:
    """Return whether the validation metrics `found` are better than `best`; nan is better only than None.

    That is by the metric `objective` and, if both are equal in it, by the loss: few images give many epochs the same
    accuracy, of which the first has hardly learnt.
    """
    if best is None or math.isnan(best[objective]):
        return True
    if found[objective] == best[objective]:
        return found[LOSS] < best[LOSS]
    is_higher_better = METRICS[objective].objective == "Maximize"
    return found[objective] > best[objective] if is_higher_better else found[objective] < best[objective]


def log_metrics(head: str, values: Mapping[str, float], notes: Iterable[str] = ()) -> None:
    """Log "head: name=value ..."; in a terminal it is a shorter line, with the `notes` in it."""
    text = " ".join(METRICS[name].format(value) for name, value in values.items())
    logger.info("%s: %s", head, text, extra={"head": head, "values": values, "notes": notes})


class MetricsLog:
    """Writes each epoch's metrics to the log, for people and tuning jobs, to metrics.jsonl, and for TensorBoard."""

    def __init__(self, path: Path, tensorboard: TensorBoard | None = None):
        self.path, self.tensorboard = path, tensorboard

    def start(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Start the file with the `rows` of an interrupted run, if any, without logging them again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with errors_named(self.path):
            self.path.write_text("".join(_line(row) for row in rows), encoding="utf-8")
        if self.tensorboard:
            self.tensorboard.start(rows)

    def write(self, head: str, values: Mapping[str, float], notes: Iterable[str] = (), **about: int) -> None:
        """Call log_metrics(), and append one JSON object of `about` and `values` to the file."""
        log_metrics(head, values, notes)
        with errors_named(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(_line({**about, **values}))
        if self.tensorboard:
            (epoch,) = about.values()  # or of test the best one
            self.tensorboard.write(epoch, values)


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return `values` with None for those that are not finite, which JSON cannot have."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _line(values: Mapping[str, float]) -> str:
    return json.dumps(finite(values)) + "\n"
