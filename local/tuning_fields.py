"""What each field of tuning.json accepts: people edit the file, and a later version may write it otherwise."""

from dataclasses import dataclass

from classifier.training.accepted_values import Choice, Whole, text_of
from classifier.training.hyperparameters import FIELDS, parse
from classifier.training.metrics import METRICS, OBJECTIVES
from local.accepted import MOST, Accepted, Hyperparameters, Ranges, Scalar, Table, Text, Texts, parse_values
from local.places import RUN

STATUSES = RUNNING, COMPLETED, STOPPED, FAILED = "running", "completed", "stopped early", "failed"


@dataclass(frozen=True)
class Number:
    """A number, of which charts can be drawn."""

    low: float = -1e30
    null: bool = False

    def __str__(self) -> str:
        return f"a number from {self.low:g} to 1e+30{' or null' if self.null else ''}"

    def parse(self, value: object) -> float | None:
        if value is None and self.null:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= 1e30:
            raise ValueError
        return float(value)


class Names:
    """Different hyperparameters."""

    def __str__(self) -> str:
        return "a list of hyperparameters"

    def parse(self, value: object) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(name, str) and name in FIELDS for name in value):
            raise ValueError
        return list(dict.fromkeys(value))


class HyperparameterTexts(Table):
    """A job's hyperparameters, as texts."""

    def __str__(self) -> str:
        return "a table of hyperparameters and texts"

    def parse(self, value: object) -> dict[str, str]:
        """Return each text as as_texts() writes it."""
        texts = super().parse(value)
        parsed = parse(texts)
        return {name: text_of(getattr(parsed, name)) if name in FIELDS else text for name, text in texts.items()}

    def check(self, name: str, value: object) -> None:
        if not isinstance(value, str):
            raise ValueError


class Metrics(Table):
    def __str__(self) -> str:
        return "a table of metrics and lists of numbers"

    def check(self, name: str, value: object) -> None:
        if name not in METRICS or not isinstance(value, list):
            raise ValueError
        for number in value:
            Number().parse(number)


class Trials:
    def __str__(self) -> str:
        return "a list of tables"

    def parse(self, value: object) -> list[dict[str, object]]:
        if not isinstance(value, list) or not all(isinstance(trial, dict) for trial in value):
            raise ValueError
        return [parse_values(ADDED | trial, TRIAL, f"trials[{number}].") for number, trial in enumerate(value)]


# Half of a UTF-16 pair, which JSON can have, is in no encoding of a page.
TEXT = Text(r"[^\ud800-\udfff]*", "text")
TRIAL: dict[str, Accepted] = {
    "name": RUN,
    "hyperparameters": HyperparameterTexts(),
    "status": Scalar(Choice(STATUSES)),
    "value": Number(null=True),
    "seconds": Number(low=0),
    "reason": TEXT,
    "metrics": Metrics(),
    "validation_images": Scalar(Whole(0, 10**9)),
    "accuracy": Number(low=0, null=True),
}
# What tuning.json of earlier versions lacks.
ADDED = {"validation_images": 0, "accuracy": None}
TUNING: dict[str, Accepted] = {
    "name": RUN,
    "objective": Scalar(Choice(OBJECTIVES)),
    "tuned": Names(),
    "trials": Trials(),
    "settings": Table(),
}
# The settings that have an effect on a tuning on this computer.
SETTINGS: dict[str, Accepted] = {
    "data": Text(),
    "image": Text(),
    "hyperparameters": Hyperparameters(),
    "objective": Scalar(Choice(OBJECTIVES)),
    "strategy": Scalar(Choice(("Bayesian", "Random", "Grid", "Hyperband"))),
    "early_stopping": Scalar(Choice(("Auto", "Off"))),
    "max_jobs": Scalar(Whole(1, MOST)),
    "warm_start": Texts(),
    "ranges": Ranges(),
}
# It keeps them for --resume, with what tells its images from others.
KEPT: dict[str, Accepted] = {**SETTINGS, "images": Text()}
# What those of earlier versions lack.
ADDED_KEPT = {"warm_start": [], "images": ""}
