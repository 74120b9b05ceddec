"""The search space: the ranges of the container's table, or of the settings; and hyperparameters as strings."""

import math
from argparse import Namespace
from collections.abc import Mapping

from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.accepted_values import Between, OneOf, Real, text_of
from classifier.training.hyperparameters import FIELDS, SEARCH_SPACE, parse, unknown_name

# SageMaker's limit for a list of values.
MOST_VALUES = 30


def as_texts(hyperparameters: Mapping[str, object]) -> dict[str, str]:
    """Return hyperparameters as the strings that a job takes. Raises UserError for those that training rejects."""
    parse(hyperparameters)
    return {name: text_of(value) for name, value in hyperparameters.items()}


def check_name(name: str) -> None:
    """Raise UserError unless a user may set this hyperparameter: training ignores those that SageMaker adds."""
    if name not in FIELDS:
        raise unknown_name(name)


def search_space(settings: Namespace) -> dict[str, Between | OneOf]:
    """Return each hyperparameter to search with its range; those with a fixed value in the settings are left out.

    A grid search tries all combinations: it sets `settings.max_jobs` to their number. Raises UserError if a range is
    not valid, if a fixed value contradicts `ranges` or `objective`, or if nothing is left to search.
    """
    fixed = settings.hyperparameters
    if "objective" in fixed and parse({"objective": fixed["objective"]}).objective != settings.objective:
        raise UserError(
            f"objective, the metric to tune for, is {settings.objective!r}, and hyperparameters fixes objective to "
            f"{fixed['objective']!r}; accepted: the same metric in both"
        )
    space = SEARCH_SPACE | {name: search_range(name, values) for name, values in settings.ranges.items()}
    if both := fixed.keys() & settings.ranges.keys():
        name = min(both)
        raise UserError(f"{name} is fixed to {fixed[name]!r} in hyperparameters and has a range; accepted: one of both")
    space = {name: values for name, values in space.items() if name not in fixed}
    if not space:
        raise UserError("every hyperparameter is fixed: leave one of them out, or use train.py")
    if settings.strategy == "Grid":
        if wide := [name for name, values in space.items() if isinstance(values, Between)]:
            raise UserError(f"strategy is 'Grid', which needs a list of values in ranges for {', '.join(wide)}")
        settings.max_jobs = math.prod(len(values.values) for values in space.values() if isinstance(values, OneOf))
    return space


def search_range(name: str, values: object) -> Between | OneOf:
    """Return the range of a setting: two values of a real number are its limits, other lists are the values to try."""
    check_name(name)
    given = f"the range of {name} is {shown(values)}"
    if name == "objective":
        raise UserError(f"{given}; accepted: no range, since a tuning has one objective")
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_VALUES:
        raise UserError(f"{given}; accepted: a list of up to {MOST_VALUES} values, such as [0.001, 0.01]")
    parsed = [getattr(parse({name: value}), name) for value in values]
    if isinstance(FIELDS[name].metadata["accepted"], Real) and len(parsed) == 2:
        if not 0 < parsed[0] < parsed[1]:
            raise UserError(f"{given}; accepted: a lower and a higher number above 0")
        return Between(*parsed)
    if len(set(parsed)) < len(parsed):
        raise UserError(f"{given}; accepted: each value once")
    return OneOf(tuple(parsed))
