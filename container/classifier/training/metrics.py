"""The metrics: the one table of their names, log formats and the regexes a tuning job reads them with."""

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """One number in the log, written as "name=value"; `objective` is what a tuning job does with it, if anything."""

    name: str
    decimals: int
    objective: str | None = None

    @property
    def regex(self) -> str:
        """For MetricDefinitions: finds the value, and no nan or inf, which no tuning job can use."""
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
# How the line of an epoch in the log begins, with the epoch's number.
EPOCH = re.compile(r"epoch (\d+)/")
OBJECTIVES = ("validation:accuracy", "validation:macro_f1", "validation:loss")


def better(objective: str, value: float, best: float | None) -> bool:
    """Whether `value` of the metric `objective` is better than `best`; nan is better than nothing only."""
    if best is None or math.isnan(best):
        return True
    return value > best if METRICS[objective].objective == "Maximize" else value < best


def log(head: str, values: Mapping[str, float]) -> None:
    """Log "head: name=value ..."."""
    logger.info("%s: %s", head, " ".join(METRICS[name].format(value) for name, value in values.items()))


class MetricsLog:
    """Writes each epoch's metrics to the log, for people and tuning jobs, and to metrics.jsonl."""

    def __init__(self, path: Path):
        self.path = path
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")

    def restore(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Start the file with `rows` of an interrupted run, which its log has."""
        self.path.write_text("".join(_line(row) for row in rows), encoding="utf-8")

    def write(self, head: str, values: Mapping[str, float], **about: object) -> None:
        """Log "head: name=value ..." and append one JSON object of `about` and `values` to the file."""
        log(head, values)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line({**about, **values}))


def _line(values: Mapping[str, object]) -> str:
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return json.dumps(finite) + "\n"
