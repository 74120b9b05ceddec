"""The search space: the ranges of the container's table, or of the settings; and hyperparameters as strings."""

import math
from argparse import Namespace
from collections.abc import Mapping

from classifier.errors import UserError
from classifier.training.hyperparameters import FIELDS, SEARCH_SPACE, Between, OneOf, Real, parse, text_of
from classifier.training.metrics import OBJECTIVES

STRATEGIES = ("Bayesian", "Random", "Grid", "Hyperband")


def as_texts(hyperparameters: Mapping[str, object]) -> dict[str, str]:
    """Return hyperparameters as the strings that a job takes. Raises UserError for those that training rejects."""
    parse(hyperparameters)
    return {name: text_of(value) for name, value in hyperparameters.items()}


def search_space(settings: Namespace) -> dict[str, Between | OneOf]:
    """Return each hyperparameter to search with its range; those with a fixed value in the settings are left out.

    A grid search tries all combinations: it sets `settings.max_jobs` to their number. Raises UserError if a setting
    is not valid, or if nothing is left to search.
    """
    for name, accepted in (("objective", OBJECTIVES), ("strategy", STRATEGIES)):
        if vars(settings)[name] not in accepted:
            raise UserError(f"{name} is {vars(settings)[name]!r}; accepted: {', '.join(accepted)}")
    space = SEARCH_SPACE | {name: search_range(name, values) for name, values in settings.ranges.items()}
    space = {name: values for name, values in space.items() if name not in settings.hyperparameters}
    if not space:
        raise UserError("every hyperparameter is fixed: leave one of them out, or use train.py")
    if settings.strategy == "Grid":
        if wide := [name for name, values in space.items() if isinstance(values, Between)]:
            raise UserError(f"strategy is 'Grid', which needs a list of values in ranges for {', '.join(wide)}")
        settings.max_jobs = math.prod(len(values.values) for values in space.values() if isinstance(values, OneOf))
    return space


def search_range(name: str, values: object) -> Between | OneOf:
    """Return the range of a setting: two values of a real number are its limits, other lists are the values to try."""
    if not isinstance(values, list) or not values:
        raise UserError(f"the range of {name} is {values!r}; accepted: a list, such as [0.001, 0.01]")
    for value in values:
        parse({name: value})
    if not isinstance(FIELDS[name].metadata["accepted"], Real) or len(values) != 2:
        return OneOf(tuple(values))
    if not 0 < values[0] < values[1]:
        raise UserError(f"the range of {name} is {values}; accepted: a lower and a higher number above 0")
    return Between(*values)
