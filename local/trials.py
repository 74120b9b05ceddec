"""A tuning and its trials, on AWS or on this computer: their results and which is best; stored as JSON."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from classifier.errors import UserError
from classifier.files import read_json, write_file
from classifier.training import shares
from classifier.training.metrics import EPOCH, METRICS
from local import places
from local.accepted import parse_values
from local.tuning_fields import COMPLETED, RUNNING, STOPPED
from local.tuning_fields import TUNING as FIELDS

ACCURACY = "validation:accuracy"
# The line in which a job says how many validation images it has.
VALIDATION = re.compile(r"validation: ([\d,]+) images? in ")


@dataclass
class Trial:
    """One training job of a tuning; `value` is its objective, `metrics` has each metric's values by epoch.

    `accuracy` is of as many validation images, 0 if their number is not known.
    """

    name: str
    hyperparameters: dict[str, str]
    status: str = RUNNING
    value: float | None = None
    seconds: float = 0
    reason: str = ""
    metrics: dict[str, list[float]] = field(default_factory=dict)
    validation_images: int = 0
    accuracy: float | None = None

    def read(self, line: str, objective: str) -> None:
        """Take the metrics from a line of the log. The last value of the objective counts, as for SageMaker.

        It is that of the best epoch, as is the last accuracy.
        """
        matches = {name: re.search(metric.regex, line) for name, metric in METRICS.items()}
        found = {name: float(match[1]) for name, match in matches.items() if match}
        self.value = found.get(objective, self.value)
        self.accuracy = found.get(ACCURACY, self.accuracy)
        if counted := VALIDATION.match(line):
            self.validation_images = int(counted[1].replace(",", ""))
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

    @property
    def equal(self) -> list[Trial]:
        """The other trials whose accuracy the validation images cannot tell apart from the best one's."""
        best = self.best
        if best is None or best.accuracy is None:
            return []
        return [
            trial
            for trial in self.measured
            if trial is not best
            and trial.accuracy is not None
            and shares.are_equal(trial.accuracy, best.accuracy, min(trial.validation_images, best.validation_images))
        ]

    @property
    def remark(self) -> str:
        """A sentence on how sure the best trial is; "" if that is not known."""
        best = self.best
        if best is None or best.accuracy is None or not best.validation_images:
            return ""
        value = f"{self.called(best)} is right in {shares.words(best.accuracy, best.validation_images)}"
        if not (equal := self.equal):
            return value
        named = ", ".join(map(self.called, equal[:5])) + (f" and {len(equal) - 5} more" if len(equal) > 5 else "")
        by = "" if self.objective == ACCURACY else "by accuracy "
        return f"{value}; {by}these images cannot tell it apart from {named}"

    def called(self, trial: Trial) -> str:
        """Return the trial's name without the tuning's, with which it begins."""
        return trial.name.removeprefix(self.name).strip("/-")

    @staticmethod
    def file(name: str) -> Path:
        return places.run_folder(name) / "tuning.json"

    @classmethod
    def load(cls, name: str) -> "Tuning":
        """Read the tuning from its file. Raises UserError if there is none, or it is damaged."""
        file = cls.file(name)
        try:
            values: dict[str, Any] = parse_values(read_json(file), FIELDS, f"{file} is damaged: ")
        except FileNotFoundError:
            raise places.no_run("tuning", name, file.name) from None
        except UserError as error:
            raise UserError(f"{error}; name another tuning") from error
        values["trials"] = [Trial(**trial) for trial in values["trials"]]
        tuning = cls(**values)
        if fault := tuning.find_contradiction(name):
            raise UserError(f"{file} is damaged: {fault}; name another tuning")
        return tuning

    def find_contradiction(self, name: str) -> str:
        """Return a contradiction between fields that are valid each for itself; "" if there is none."""
        if self.name != name:
            return f"name is {self.name!r}; accepted: {name!r}, its folder's"
        for number, trial in enumerate(self.trials):
            if missing := [tuned for tuned in self.tuned if tuned not in trial.hyperparameters]:
                return f"trials[{number}].hyperparameters.{missing[0]} is missing; accepted: a value, since it is tuned"
        return ""

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
