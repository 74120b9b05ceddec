"""A tuning and its trials: what each came to, and which is best; as a table, JSON and a page."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import places
from classifier.training.metrics import EPOCH, METRICS
from console import table

RUNNING, COMPLETED, STOPPED, FAILED = "running", "completed", "stopped early", "failed"


@dataclass
class Trial:
    """One training job of a tuning; `value` is its objective, `metrics` has each metric's values by epoch."""

    name: str
    hyperparameters: dict[str, str]
    status: str = RUNNING
    value: float | None = None
    seconds: float = 0
    reason: str = ""
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def read(self, line: str, objective: str) -> None:
        """Take over what a line of the log says. As for SageMaker, the last value counts."""
        matches = {name: re.search(metric.regex, line) for name, metric in METRICS.items()}
        found = {name: float(match[1]) for name, match in matches.items() if match}
        self.value = found.get(objective, self.value)
        epoch = EPOCH.match(line)
        for name, value in found.items() if epoch else ():
            self.metrics.setdefault(name, [])[int(epoch[1]) - 1 :] = [value]  # an interrupted job may repeat epochs


@dataclass
class Tuning:
    """A tuning job, of AWS or of this computer, whose `settings` are kept for --resume."""

    name: str
    objective: str
    tuned: list[str]
    trials: list[Trial] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def direction(self) -> str:
        """Maximize or Minimize."""
        return METRICS[self.objective].objective

    @property
    def better(self) -> Callable[..., object]:
        """max or min."""
        return max if self.direction == "Maximize" else min

    @property
    def measured(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.value is not None]

    @property
    def best(self) -> Trial | None:
        """The best of the completed trials, or else of those that ended early."""
        for status in (COMPLETED, STOPPED):
            if ended := [trial for trial in self.measured if trial.status == status]:
                return self.better(ended, key=lambda trial: trial.value)
        return None

    def table(self) -> object:
        """As narrow as a terminal of 80 columns: what all trials share is said above them."""
        best = self.best
        rows = [
            (
                trial.name.removeprefix(self.name).strip("/-"),
                "best" if trial is best else ": ".join(filter(None, (trial.status, trial.reason[:80]))),
                *(short(trial.hyperparameters.get(name, "")) for name in self.tuned),
                "" if trial.value is None else f"{trial.value:.4f}",
                f"{trial.seconds:.0f} s",
            )
            for trial in self.trials
        ]
        head = ("trial", "status", *self.tuned, "value", "time")
        return table(head, rows, (*self.tuned, "value", "time"), f"{self.name}, by {self.objective}")

    @staticmethod
    def file(name: str) -> Path:
        return places.RUNS / name / "tuning.json"

    @classmethod
    def load(cls, name: str) -> "Tuning":
        """Raises UserError where there is no tuning of this name."""
        if not cls.file(name).exists():
            raise places.UserError(f"{cls.file(name)} is missing: name another tuning, or end this one with --resume")
        values = json.loads(cls.file(name).read_text())
        trials = [Trial(**trial) for trial in values["trials"]]
        return cls(values["name"], values["objective"], values["tuned"], trials, values["settings"])

    def save(self) -> None:
        file = self.file(self.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        values = asdict(self) | {"direction": self.direction, "best": self.best and asdict(self.best)}
        file.with_suffix(".new").write_text(json.dumps(values, indent=2) + "\n")
        file.with_suffix(".new").replace(file)


def short(value: str) -> str:
    """A hyperparameter as short as a table wants it."""
    return f"{float(value):.3g}" if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?|-?\d+e-?\d+", value) else value


def watch(updates: Iterable[Tuning]) -> Tuning:
    """The tuning as it ended; until then a live table where a person watches, else a line for each piece of news."""
    told, watched = set(), sys.stdout.isatty()
    from rich.live import Live

    with Live(refresh_per_second=2, transient=True) if watched else nullcontext() as live:
        for tuning in updates:
            if watched:
                live.update(tuning.table())
                continue
            for trial in tuning.trials:
                value = "" if trial.value is None else f", {tuning.objective}={trial.value:.4f}"
                news = f"{trial.name}: {trial.status}{value}"
                print(news + "\n" if news not in told else "", end="", flush=True)
                told.add(news)
    return tuning
