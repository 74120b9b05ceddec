"""The values that settings accept, and their contradictions: every script checks both before it does anything."""

import math
from argparse import Namespace
from collections.abc import Collection
from dataclasses import dataclass

from classifier.contract import INPUT_MODES
from classifier.errors import UserError
from classifier.training.hyperparameters import Choice, Flag, Whole, text_of
from classifier.training.metrics import OBJECTIVES
from local.search import as_texts, check_name, search_space


@dataclass(frozen=True)
class Count:
    def __str__(self) -> str:
        return "a whole number from 1"

    def parse(self, text: str) -> int:
        if (value := int(text)) < 1:
            raise ValueError
        return value


@dataclass(frozen=True)
class Kind:
    """Any value of one of TOML's types."""

    type: type
    name: str

    def __str__(self) -> str:
        return self.name


TEXT, TEXTS, TABLE = Kind(str, "text"), Kind(list, "a list"), Kind(dict, "a table of names and values")
ACCEPTED: dict[str, Count | Whole | Choice | Flag | Kind] = {
    **dict.fromkeys(("region", "profile", "role", "bucket", "prefix", "image", "kms_key", "currency", "data"), TEXT),
    **dict.fromkeys(("instance_type", "inference_ami", "transform_ami"), TEXT),
    **dict.fromkeys(("subnets", "security_groups"), TEXTS),
    **dict.fromkeys(("tags", "prices", "hyperparameters", "ranges"), TABLE),
    **dict.fromkeys(("network_isolation", "spot", "checkpoints"), Flag()),
    **dict.fromkeys(("instance_count", "max_instances", "requests_per_instance", "max_concurrent"), Count()),
    **dict.fromkeys(("volume_gb", "max_minutes", "max_wait_minutes", "max_jobs", "max_parallel_jobs"), Count()),
    # SageMaker's own limits.
    "startup_seconds": Whole(60, 3600),
    "memory_mb": Whole(1024, 6144),
    "max_concurrency": Whole(1, 200),
    "input_mode": Choice(INPUT_MODES),
    "objective": Choice(OBJECTIVES),
    "strategy": Choice(("Bayesian", "Random", "Grid", "Hyperband")),
    "early_stopping": Choice(("Auto", "Off")),
}
# A setting, another one that must not be less, and which of the two follows a flag of the other.
ORDERED = (
    ("max_parallel_jobs", "max_jobs", "max_parallel_jobs"),
    ("max_minutes", "max_wait_minutes", "max_wait_minutes"),
    ("instance_count", "max_instances", "max_instances"),
)


def check_settings(settings: Namespace, flags: Collection[str]) -> None:
    """Parse every setting in place; `flags` has the names of all flags that the command line gave.

    Raises UserError for a value that is not accepted and for settings that contradict each other.
    """
    values = vars(settings)
    for name in filter(ACCEPTED.__contains__, list(values)):
        values[name] = parse_setting(name, values[name])
    for name, price in values.get("prices", {}).items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
            raise UserError(f"the price of {name} is {price!r}; accepted: a number from 0")
    if bool(values.get("subnets")) != bool(values.get("security_groups")):
        raise UserError("a VPC needs both subnets and security_groups; accepted: both, or neither")
    for lower, upper, follower in ORDERED:
        if lower in values and upper in values and (upper != "max_wait_minutes" or settings.spot):
            check_order(values, lower, upper, follower, flags)
    for name in values.get("hyperparameters", ()):
        check_name(name)
    as_texts(values.get("hyperparameters", {}))
    if "ranges" in values:
        check_tuning(settings, flags)


def parse_setting(name: str, value: object) -> object:
    accepted = ACCEPTED[name]
    try:
        if not isinstance(accepted, Kind):
            return accepted.parse(text_of(value))
        if isinstance(value, accepted.type):
            return value
    except (ValueError, KeyError):
        pass
    raise UserError(f"{name} is {value!r}; accepted: {accepted}")


def check_order(values: dict[str, int], lower: str, upper: str, follower: str, flags: Collection[str]) -> None:
    """Raise UserError if `lower` is more than `upper`, unless a flag gave one and the other only follows it."""
    if values[lower] <= values[upper]:
        return
    leader = lower if follower == upper else upper
    if leader not in flags or follower in flags:
        raise UserError(f"{lower} is {values[lower]} and {upper} is {values[upper]}; accepted: {lower} up to {upper}")
    values[follower] = values[leader]


def check_tuning(settings: Namespace, flags: Collection[str]) -> None:
    """Raise UserError if the search space is not valid, or if a flag asks for a part of a grid."""
    searched = Namespace(**vars(settings))
    search_space(searched)
    if "max_jobs" in flags and searched.max_jobs != settings.max_jobs:
        raise UserError(
            f"max_jobs is {settings.max_jobs}, and a grid search tries all its combinations, {searched.max_jobs}; "
            "accepted: that number, or no --max-jobs"
        )
