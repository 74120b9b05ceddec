"""Optuna's study of a tuning on this computer: what it searches, and the trials that it knows from the beginning."""

import itertools
from argparse import Namespace
from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from classifier.errors import UserError
from classifier.training.accepted_values import Between, OneOf, text_of
from local.trials import Tuning
from local.tuning_fields import COMPLETED

# The number of trials to finish before any is stopped early, and the first epoch at which one may be.
FIRST_TRIALS, FIRST_EPOCH = 3, 2


def new_study(settings: Namespace, tuning: Tuning, space: Mapping[str, Between | OneOf]) -> optuna.Study:
    """Return a study that first proposes the hyperparameters of the existing trials, and then a grid's."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = [trial for name in settings.warm_start for trial in trials_of(Tuning.load(name), tuning.objective, space)]
    seed = len(tuning.trials) + len(known)  # one that is resumed, or starts from others, proposes something new
    sampler = optuna.samplers.RandomSampler(seed)
    if settings.strategy == "Bayesian":
        sampler = optuna.samplers.TPESampler(n_startup_trials=FIRST_TRIALS, seed=seed)
    pruner = optuna.pruners.MedianPruner(FIRST_TRIALS, n_warmup_steps=FIRST_EPOCH)
    if settings.strategy == "Hyperband":
        pruner = optuna.pruners.HyperbandPruner()
    if settings.early_stopping == "Off":
        pruner = optuna.pruners.NopPruner()
    direction = "minimize" if tuning.direction == "Minimize" else "maximize"
    study = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)
    study.add_trials(known)
    for trial in tuning.trials:
        study.enqueue_trial({name: typed(searched, trial.hyperparameters[name]) for name, searched in space.items()})
    if settings.strategy == "Grid":
        lists = (searched.values for searched in space.values() if isinstance(searched, OneOf))
        for values in itertools.product(*lists):
            study.enqueue_trial(dict(zip(space, values, strict=True)), skip_if_exists=True)
    return study


def trials_of(earlier: Tuning, objective: str, space: Mapping[str, Between | OneOf]) -> list[FrozenTrial]:
    """Return, for Optuna to learn from, the completed trials of an earlier tuning that are in the search space.

    Raises UserError if there are none, or if the tuning had another objective.
    """
    if earlier.objective != objective:
        raise UserError(
            f"warm_start has {earlier.name}, which tuned for {earlier.objective}; accepted: for {objective}"
        )
    found = [
        create_trial(
            params={name: typed(searched, trial.hyperparameters[name]) for name, searched in space.items()},
            distributions={name: distribution_of(searched) for name, searched in space.items()},
            value=trial.value,
            intermediate_values=dict(enumerate(trial.metrics.get(objective, ()), 1)),
        )
        for trial in earlier.measured
        if trial.status == COMPLETED and all(contains(space[name], trial.hyperparameters.get(name)) for name in space)
    ]
    if not found:
        raise UserError(f"warm_start has {earlier.name}, none of whose completed trials is within the search ranges")
    return found


def distribution_of(searched: Between | OneOf) -> BaseDistribution:
    if isinstance(searched, Between):
        return FloatDistribution(searched.low, searched.high, log=True)
    return CategoricalDistribution(searched.values)


def contains(searched: Between | OneOf, text: str | None) -> bool:
    """Return whether a hyperparameter's text is in its range; None, for a hyperparameter that is not given, is not."""
    if text is None:
        return False
    if isinstance(searched, Between):
        return searched.low <= float(text) <= searched.high
    return text in map(text_of, searched.values)


def typed(searched: Between | OneOf, text: str) -> object:
    """Return a hyperparameter's text as the value that Optuna proposed."""
    return float(text) if isinstance(searched, Between) else {text_of(value): value for value in searched.values}[text]
