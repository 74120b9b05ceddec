"""A tuning and its trials: what is searched, what each trial came to, which is best; as table and JSON."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import places
from classifier.training.hyperparameters import FIELDS, SEARCH_SPACE, Between, OneOf, Real, parse, text_of
from classifier.training.metrics import METRICS, OBJECTIVES, better
from console import table

RUNNING, COMPLETED, STOPPED, FAILED = "running", "completed", "stopped early", "failed"


@dataclass
class Trial:
    """One training job of a tuning; `metrics` has each metric's values in the order of the log."""

    name: str
    hyperparameters: dict[str, str]
    status: str = RUNNING
    value: float | None = None
    seconds: float = 0
    reason: str = ""
    metrics: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Tuning:
    """A tuning job, of AWS or of this computer."""

    name: str
    objective: str
    tuned: list[str]
    trials: list[Trial] = field(default_factory=list)

    @property
    def direction(self) -> str:
        """Maximize or Minimize."""
        return METRICS[self.objective].objective

    @property
    def best(self) -> Trial | None:
        """The best of the completed trials, or else of those that ended early."""
        for status in (COMPLETED, STOPPED):
            best = None
            for trial in self.trials:
                if trial.status == status and trial.value is not None:
                    best = trial if best is None or better(self.objective, trial.value, best.value) else best
            if best:
                return best
        return None

    def table(self) -> object:
        best = self.best
        rows = [
            (
                trial.name,
                trial.status,
                *(short(trial.hyperparameters.get(name, "")) for name in self.tuned),
                "" if trial.value is None else f"{trial.value:.4f}",
                f"{trial.seconds:.0f} s",
                "best" if trial is best else trial.reason[:80],
            )
            for trial in self.trials
        ]
        head = ("trial", "status", *self.tuned, self.objective, "time", "")
        return table(head, rows, numbers=(*self.tuned, self.objective, "time"))

    def save(self, folder: Path) -> Path:
        """Write tuning.json and tuning.html to `folder`; the page's path."""
        from page import write_page

        folder.mkdir(parents=True, exist_ok=True)
        best = self.best
        values = asdict(self) | {"direction": self.direction, "best": best and asdict(best)}
        (folder / "tuning.json").write_text(json.dumps(values, indent=2) + "\n")
        return write_page(self, folder / "tuning.html")


def short(value: str) -> str:
    """A hyperparameter as short as a table wants it."""
    return f"{float(value):.3g}" if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?|-?\d+e-?\d+", value) else value


def metric_definitions() -> list[dict[str, str]]:
    """What a training or tuning job needs to read the metrics from the log."""
    return [{"Name": metric.name, "Regex": metric.regex} for metric in METRICS.values()]


def read_metrics(lines: Iterable[str]) -> dict[str, list[float]]:
    """The metrics in a log, as the definitions find them."""
    found: dict[str, list[float]] = {}
    for line in lines:
        for metric in METRICS.values():
            if match := re.search(metric.regex, line):
                found.setdefault(metric.name, []).append(float(match[1]))
    return found


def as_texts(hyperparameters: Mapping[str, object]) -> dict[str, str]:
    """Hyperparameters as a job takes them. Raises UserError where container/train would."""
    parse(hyperparameters)
    return {name: text_of(value) for name, value in hyperparameters.items()}


def search_space(objective: str, ranges: Mapping[str, object], fixed: Mapping[str, object]) -> dict:
    """Hyperparameter to Between or OneOf: the table's, and in their place the settings' `ranges`.

    Two values of a real number are a range, anything else is a list of values; what is `fixed` is not searched.
    """
    if objective not in OBJECTIVES:
        raise places.UserError(f"objective is {objective!r}; accepted: {', '.join(OBJECTIVES)}")
    space = dict(SEARCH_SPACE)
    for name, values in ranges.items():
        if not isinstance(values, list) or not values:
            raise places.UserError(f"the range of {name} is {values!r}; accepted: a list, such as [0.001, 0.01]")
        for value in values:
            parse({name: value})
        real = isinstance(FIELDS[name].metadata["accepted"], Real)
        space[name] = Between(*values) if real and len(values) == 2 else OneOf(tuple(values))
        if real and len(values) == 2 and not 0 < values[0] < values[1]:
            raise places.UserError(f"the range of {name} is {values}; accepted: a lower and a higher number above 0")
    space = {name: searched for name, searched in space.items() if name not in fixed}
    if not space:
        raise places.UserError("every hyperparameter is fixed: leave one of them out, or use train.py")
    return space


@contextmanager
def watching() -> Iterator[Callable[[Tuning], None]]:
    """A function that shows a tuning: a live table where a person watches, else a line for each piece of news."""
    if sys.stdout.isatty():
        from rich.live import Live

        with Live(refresh_per_second=2, transient=True) as live:
            yield lambda tuning: live.update(tuning.table())
        return
    told = {}

    def tell(tuning: Tuning) -> None:
        for trial in tuning.trials:
            news = (trial.status, trial.value)
            if told.get(trial.name) != news:
                told[trial.name] = news
                value = "" if trial.value is None else f", {tuning.objective}={trial.value:.4f}"
                print(f"{trial.name}: {trial.status}{value}", flush=True)

    yield tell
