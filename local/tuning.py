"""Tuning on this computer: Optuna proposes, container/train runs in a folder for each trial, its log is read."""

import fcntl
import itertools
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from classifier.errors import UserError
from classifier.training.hyperparameters import Between, OneOf, text_of
from local import pictures, places, programs
from local.search import as_texts, search_space
from local.trials import COMPLETED, FAILED, RUNNING, STOPPED, Trial, Tuning

# Trials to see before others are judged by them, and the epoch from which on one is.
FIRST_TRIALS, FIRST_EPOCH = 3, 2
FAILURES = 2
STATES = {COMPLETED: TrialState.COMPLETE, STOPPED: TrialState.PRUNED, FAILED: TrialState.FAIL}


def begin(settings: Namespace) -> str:
    """The name of a new tuning, of the images and hyperparameters that `settings` lead to. It has no trials yet."""
    data, defaults = pictures.data_and_defaults(settings.data, settings.image)
    settings.data, settings.hyperparameters = str(data), defaults | settings.hyperparameters
    name = places.new_name(settings.prefix)
    Tuning(name, settings.objective, list(search_space(settings)), settings=vars(settings)).save()
    places.note(local_tuning=name)
    return name


def tune(name: str) -> Iterator[Tuning]:
    """Run the trials of this tuning that are still to do; yields it whenever it has something new.

    Optuna is told again of those that are done; an interrupted one goes on in its folder. Raises UserError where
    another process is at it, or the first trials all fail.
    """
    with alone(Tuning.load(name)):
        yield from run_trials(Tuning.load(name))  # as it is now that no other process changes it


@contextmanager
def alone(tuning: Tuning) -> Iterator[None]:
    """Keep other processes from this tuning for as long as the block runs."""
    with (tuning.file(tuning.name).parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{tuning.name} is running already, in another process") from None
        yield


def run_trials(tuning: Tuning) -> Iterator[Tuning]:
    settings = Namespace(**tuning.settings)
    space = search_space(settings)
    study = new_study(settings, tuning, space)
    distributions = {name: distribution_of(searched) for name, searched in space.items()}
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
            raise UserError(f"the first {FAILURES} trials failed: {trial.reason}")
    yield tuning


def new_study(settings: Namespace, tuning: Tuning, space: Mapping[str, Between | OneOf]) -> optuna.Study:
    """A study that proposes first the hyperparameters of the trials there are, and then a grid's."""
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
    study = optuna.create_study(direction=tuning.direction.lower(), sampler=sampler, pruner=pruner)
    for trial in tuning.trials:
        study.enqueue_trial({name: typed(searched, trial.hyperparameters[name]) for name, searched in space.items()})
    if settings.strategy == "Grid":
        for values in itertools.product(*(searched.values for searched in space.values())):
            study.enqueue_trial(dict(zip(space, values, strict=True)), skip_if_exists=True)
    return study


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
    programs.prepare(root, Path(settings.data), trial.hyperparameters)
    tuning.save()
    yield tuning
    started, piped = time.monotonic(), {"stdout": subprocess.PIPE, "text": True}
    try:
        with (root / "train.log").open("a") as log, programs.training(root, settings.image, **piped) as process:
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
    except UserError as error:
        trial.status, trial.reason = FAILED, str(error)
    tuning.save()
    yield tuning
