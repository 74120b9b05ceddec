"""Tuning on this computer: Optuna proposes, container/train runs in a folder for each trial, its log is read."""

import itertools
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

import local
import places
from classifier.training.hyperparameters import Between, OneOf, text_of
from search import as_texts, search_space
from trials import COMPLETED, FAILED, RUNNING, STOPPED, Trial, Tuning

# Trials to see before others are judged by them, and the epoch from which on one is.
FIRST_TRIALS, FIRST_EPOCH = 3, 2
FAILURES = 2
STATES = {COMPLETED: TrialState.COMPLETE, STOPPED: TrialState.PRUNED, FAILED: TrialState.FAIL}


def tune(tuning: Tuning) -> Iterator[Tuning]:
    """Run the trials that are still to do; yields the tuning whenever it has something new.

    Optuna is told again of those that are done; an interrupted one goes on in its folder. Raises UserError where the
    first trials all fail.
    """
    settings = Namespace(**tuning.settings)
    space = search_space(settings)
    study = new_study(settings, tuning)
    distributions = {name: distribution_of(searched) for name, searched in space.items()}
    for trial in tuning.trials:
        study.enqueue_trial({name: typed(searched, trial.hyperparameters[name]) for name, searched in space.items()})
    if settings.strategy == "Grid":
        for values in itertools.product(*(searched.values for searched in space.values())):
            study.enqueue_trial(dict(zip(space, values, strict=True)), skip_if_exists=True)
    for number in range(settings.max_jobs):
        proposed = study.ask(distributions)
        if number == len(tuning.trials):
            texts = as_texts(settings.hyperparameters | {"objective": settings.objective} | proposed.params)
            tuning.trials.append(Trial(f"{tuning.name}/trial-{number + 1:03}", texts))
        trial = tuning.trials[number]
        for epoch, value in enumerate(trial.metrics.get(tuning.objective, ()), 1):
            proposed.report(value, epoch)
        if trial.status == RUNNING:
            yield from run_trial(trial, proposed, tuning, settings)
        study.tell(proposed, trial.value if trial.status == COMPLETED else None, STATES[trial.status])
        if number + 1 == FAILURES and all(trial.status == FAILED for trial in tuning.trials):
            raise places.UserError(f"the first {FAILURES} trials failed: {trial.reason}")
    yield tuning


def new_study(settings: Namespace, tuning: Tuning) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = len(tuning.trials)  # another one when a tuning is taken up again
    sampler = optuna.samplers.RandomSampler(seed)
    if settings.strategy == "Bayesian":
        sampler = optuna.samplers.TPESampler(n_startup_trials=FIRST_TRIALS, seed=seed)
    pruner = optuna.pruners.MedianPruner(FIRST_TRIALS, n_warmup_steps=FIRST_EPOCH)
    if settings.strategy == "Hyperband":
        pruner = optuna.pruners.HyperbandPruner()
    if settings.early_stopping == "Off":
        pruner = optuna.pruners.NopPruner()
    return optuna.create_study(
        study_name=tuning.name, direction=tuning.direction.lower(), sampler=sampler, pruner=pruner
    )


def distribution_of(searched: Between | OneOf) -> BaseDistribution:
    if isinstance(searched, Between):
        return FloatDistribution(searched.low, searched.high, log=True)
    return CategoricalDistribution(searched.values)


def typed(searched: Between | OneOf, text: str) -> object:
    """A hyperparameter's text as the value that Optuna proposed."""
    return float(text) if isinstance(searched, Between) else {text_of(value): value for value in searched.values}[text]


def run_trial(trial: Trial, proposed: optuna.Trial, tuning: Tuning, settings: Namespace) -> Iterator[Tuning]:
    """Train, and end it early where the others' medians say that it is poor."""
    root, before = places.RUNS / trial.name, trial.seconds
    reported = len(trial.metrics.get(tuning.objective, ()))
    local.prepare(root, Path(settings.data), trial.hyperparameters)
    tuning.save()
    yield tuning
    started, piped = time.monotonic(), {"stdout": subprocess.PIPE, "text": True}
    try:
        with (root / "train.log").open("a") as log, local.training(root, settings.image, **piped) as process:
            for line in process.stdout:
                print(line, end="", file=log, flush=True)
                trial.read(line, tuning.objective)
                trial.seconds = before + time.monotonic() - started
                epoch = len(trial.metrics.get(tuning.objective, ()))
                if epoch > reported:
                    reported = epoch
                    proposed.report(trial.value, epoch)
                    tuning.save()
                    if trial.status == RUNNING and proposed.should_prune():
                        trial.status = STOPPED
                        process.terminate()
                yield tuning
        trial.status = trial.status if trial.status == STOPPED else COMPLETED
    except places.UserError as error:
        trial.status, trial.reason = FAILED, str(error)
    tuning.save()
    yield tuning
