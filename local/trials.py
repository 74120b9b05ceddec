"""A tuning and its trials, on AWS or on this computer: their results and which is best; stored as JSON."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from classifier.errors import UserError
from classifier.files import read_json, write_file
from classifier.training.metrics import EPOCH, METRICS
from local import places

STATUSES = RUNNING, COMPLETED, STOPPED, FAILED = "running", "completed", "stopped early", "failed"


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
        """Take the metrics from a line of the log. The last value of the objective counts, as for SageMaker."""
        matches = {name: re.search(metric.regex, line) for name, metric in METRICS.items()}
        found = {name: float(match[1]) for name, match in matches.items() if match}
        self.value = found.get(objective, self.value)
        if epoch := EPOCH.match(line):
            for name, value in found.items():  # an interrupted job may repeat epochs
                self.metrics.setdefault(name, [])[int(epoch[1]) - 1 :] = [value]


@dataclass
class Tuning:
    """A tuning job, on AWS or on this computer; `settings` are stored for --resume."""

    name: str
    objective: str
    tuned: list[str]
    trials: list[Trial] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def direction(self) -> Literal["Maximize", "Minimize"]:
        return direction(self.objective)

    @property
    def better(self) -> Callable[..., Any]:
        """max or min, by direction."""
        return max if self.direction == "Maximize" else min

    @property
    def measured(self) -> list[Trial]:
        """The trials with a value of the objective."""
        return [trial for trial in self.trials if trial.value is not None]

    @property
    def values(self) -> list[float]:
        """The objective's value of each measured trial."""
        return [trial.value for trial in self.trials if trial.value is not None]

    @property
    def best(self) -> Trial | None:
        """The best of the completed trials, or else of those that were stopped early; None if none has a value."""
        for status in (COMPLETED, STOPPED):
            if ended := [trial for trial in self.measured if trial.status == status]:
                return self.better(ended, key=lambda trial: trial.value)
        return None

    def called(self, trial: Trial) -> str:
        """Return the trial's name without the tuning's, with which it begins."""
        return trial.name.removeprefix(self.name).strip("/-")

    @staticmethod
    def file(name: str) -> Path:
        return places.RUNS / name / "tuning.json"

    @classmethod
    def load(cls, name: str) -> "Tuning":
        """Read the tuning from its file. Raises UserError if there is none, or it is damaged."""
        file = cls.file(name)
        try:
            values = read_json(file)
            tuning = cls(*(values[field] for field in ("name", "objective", "tuned", "trials", "settings")))
            tuning.trials = [Trial(**trial) for trial in values["trials"]]
        except FileNotFoundError:
            raise UserError(f"{file} is missing: name another tuning, or finish this one with --resume") from None
        except (KeyError, TypeError) as error:
            raise UserError(f"{file} is damaged: {type(error).__name__}: {error}; name another tuning") from error
        if fault := tuning.find_fault():
            raise UserError(f"{file} is damaged: it has {fault}; name another tuning")
        return tuning

    def find_fault(self) -> str:
        """Return the first value of a wrong kind, which a file that was edited may have; "" if there is none."""
        for value_of, kind in {"name": str, "objective": str, "tuned": list, "settings": dict}.items():
            if not isinstance(value := getattr(self, value_of), kind):
                return f"{value_of} {value!r}; accepted: a {kind.__name__}"
        for trial in self.trials:
            if trial.status not in STATUSES or not isinstance(trial.hyperparameters, dict):
                return f"the trial {trial.name!r} with status {trial.status!r}; accepted: {', '.join(STATUSES)}"
            numbers = [trial.seconds, *([] if trial.value is None else [trial.value])]
            if not all(isinstance(number, int | float) for number in numbers) or not isinstance(trial.metrics, dict):
                return f"the trial {trial.name!r} with value {trial.value!r}; accepted: a number, or null"
        return "" if self.objective in METRICS else f"objective {self.objective!r}; accepted: {', '.join(METRICS)}"

    def save(self) -> None:
        file = self.file(self.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        values = asdict(self) | {"direction": self.direction, "best": self.best and asdict(self.best)}
        write_file(file, (json.dumps(values, indent=2) + "\n").encode())


def direction(objective: str) -> Literal["Maximize", "Minimize"]:
    """Return what a tuning job does with this metric."""
    return "Minimize" if METRICS[objective].objective == "Minimize" else "Maximize"


def short(value: str) -> str:
    """Return a hyperparameter with three significant digits, if it is a number with a fraction or an exponent."""
    return f"{float(value):.3g}" if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?|-?\d+e-?\d+", value) else value
