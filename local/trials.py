"""A tuning and its trials, of AWS or of this computer: what each came to, and which is best; kept as JSON."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from classifier.errors import UserError
from classifier.training.metrics import EPOCH, METRICS
from local import places

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

    def called(self, trial: Trial) -> str:
        """The trial's name without the tuning's, with which it begins."""
        return trial.name.removeprefix(self.name).strip("/-")

    @staticmethod
    def file(name: str) -> Path:
        return places.RUNS / name / "tuning.json"

    @classmethod
    def load(cls, name: str) -> "Tuning":
        """Raises UserError where there is no tuning of this name."""
        if not cls.file(name).exists():
            raise UserError(f"{cls.file(name)} is missing: name another tuning, or end this one with --resume")
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
