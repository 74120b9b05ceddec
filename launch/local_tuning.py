"""Tuning on this computer: Optuna proposes, container/train runs in a folder for each trial, its log is read."""

import fcntl
import json
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import local
import places
from classifier.training.hyperparameters import OneOf
from classifier.training.metrics import METRICS
from trials import COMPLETED, FAILED, STOPPED, Trial, Tuning, as_texts, read_metrics, search_space

# Trials to see before others are judged by them, and the epoch from which on one is.
FIRST_TRIALS, FIRST_EPOCH = 3, 2
FAILURES = 2


def tune(folder: Path, settings: Namespace, data: Path, show: Callable[[Tuning], None]) -> Tuning:
    """Run the trials that are still to do in `folder`, and `show` the tuning whenever it has something new.

    What is there of an earlier run is taken up, an interrupted trial in its old folder. Raises UserError where
    the first trials all fail.
    """
    space = search_space(settings.objective, settings.ranges, settings.hyperparameters)
    tuning = Tuning(folder.name, settings.objective, list(space))
    with alone(folder):
        study = open_study(folder, settings, tuning.direction)
        for cut in study.get_trials(states=[TrialState.RUNNING]):
            study.enqueue_trial(cut.params, user_attrs=cut.user_attrs)
            study.tell(cut.number, state=TrialState.FAIL)
        tuning.trials = [Trial(**done.user_attrs["trial"]) for done in study.trials if "trial" in done.user_attrs]
        while len(tuning.trials) < settings.max_jobs:
            proposed = study.ask()
            values = {name: suggest(proposed, name, searched) for name, searched in space.items()}
            name = proposed.user_attrs.get("name") or f"{folder.name}/trial-{len(tuning.trials) + 1:03}"
            proposed.set_user_attr("name", name)
            trial = Trial(name, as_texts(settings.hyperparameters | {"objective": settings.objective} | values))
            tuning.trials.append(trial)
            show(tuning)
            state = run_trial(folder.parent / name, trial, proposed, tuning, settings, data, show)
            proposed.set_user_attr("trial", vars(trial))
            study.tell(proposed, trial.value if state == TrialState.COMPLETE else None, state)
            show(tuning)
            if len(tuning.trials) == FAILURES and all(trial.status == FAILED for trial in tuning.trials):
                raise places.UserError(f"the first {FAILURES} trials failed: {trial.reason}")
    return tuning


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises UserError where another process is at work in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise places.UserError(f"the tuning {folder.name} is running already") from error
        yield


def open_study(folder: Path, settings: Namespace, direction: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))),
        study_name=folder.name,
        direction=direction.lower(),
        load_if_exists=True,
    )
    seed = len(study.trials)  # another one when a tuning is taken up again
    if settings.strategy == "Bayesian":
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=FIRST_TRIALS, seed=seed)
    elif settings.strategy == "Grid":
        study.sampler = optuna.samplers.BruteForceSampler(seed=seed)
    else:
        study.sampler = optuna.samplers.RandomSampler(seed=seed)
    if settings.early_stopping == "Off":
        study.pruner = optuna.pruners.NopPruner()
    elif settings.strategy == "Hyperband":
        study.pruner = optuna.pruners.HyperbandPruner()
    else:
        study.pruner = optuna.pruners.MedianPruner(FIRST_TRIALS, n_warmup_steps=FIRST_EPOCH)
    return study


def suggest(proposed: optuna.Trial, name: str, searched: object) -> object:
    if isinstance(searched, OneOf):
        return proposed.suggest_categorical(name, searched.values)
    return proposed.suggest_float(name, searched.low, searched.high, log=True)


def run_trial(
    root: Path, trial: Trial, proposed: optuna.Trial, tuning: Tuning, settings: Namespace, data: Path, show: Callable
) -> TrialState:
    """Train in `root`, and end it early where the others' medians say that it is poor."""
    local.prepare(root, data, trial.hyperparameters)
    started = time.monotonic()
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with (root / "train.log").open("a") as log, local.start("train", root, settings.image, **how) as process:
        try:
            for line in process.stdout:
                print(line, end="", file=log, flush=True)
                if tuning.objective in add(trial, read_metrics([line]), tuning):
                    values = trial.metrics[tuning.objective]
                    proposed.report(values[-1], len(values))
                trial.seconds = time.monotonic() - started
                show(tuning)
                if trial.status != STOPPED and proposed.should_prune():
                    trial.status = STOPPED
                    process.terminate()
        except BaseException:
            local.stop(process, local.TRAIN_STOP_SECONDS)
            raise
    if process.returncode:
        trial.status, trial.reason = FAILED, local.failure(root)
        return TrialState.FAIL
    # After an interruption the log has only the later epochs.
    trial.metrics = {}
    for line in (root / "output/data/metrics.jsonl").read_text().splitlines():
        add(trial, {name: [value] for name, value in json.loads(line).items() if name in METRICS}, tuning)
    if trial.status == STOPPED:
        return TrialState.PRUNED
    trial.status = COMPLETED
    return TrialState.COMPLETE


def add(trial: Trial, metrics: dict[str, list[float]], tuning: Tuning) -> dict[str, list[float]]:
    """Add `metrics`, which are returned; the trial's value is its best, whose weights the artifact has."""
    for name, values in metrics.items():
        trial.metrics.setdefault(name, []).extend(values)
    if values := trial.metrics.get(tuning.objective):
        trial.value = max(values) if tuning.direction == "Maximize" else min(values)
    return metrics
