"""Tune on this computer: Optuna proposes hyperparameters, container/train runs in a folder for each trial."""

import subprocess
import time
from argparse import Namespace
from collections.abc import Generator, Iterator
from pathlib import Path

import optuna
from optuna.trial import TrialState

from classifier.errors import UserError
from classifier.words import plural
from local import pictures, places, programs
from local.accepted import parse_values
from local.search import as_texts, search_space
from local.study import contains, distribution_of, new_study, trials_of
from local.trials import Trial, Tuning
from local.tuning_fields import ADDED_KEPT, COMPLETED, FAILED, KEPT, RUNNING, STOPPED

FAILURES = 2
STATES = {COMPLETED: TrialState.COMPLETE, STOPPED: TrialState.PRUNED, FAILED: TrialState.FAIL}


def begin_tuning(settings: Namespace) -> str:
    """Store a new tuning, without trials, with the images and hyperparameters of `settings`; return its name."""
    data, defaults = pictures.data_and_defaults(settings.data, settings.image)
    defaults = {name: value for name, value in defaults.items() if name not in settings.ranges}
    settings.data, settings.hyperparameters = str(data), defaults | settings.hyperparameters
    space = search_space(settings)
    pictures.check_weights(settings.hyperparameters, settings.image)
    for earlier in settings.warm_start:
        found = trials_of(Tuning.load(earlier), settings.objective, space)
        print(f"starts from {plural(len(found), 'trial')} of {earlier}")
    settings.images = pictures.identity(data)
    name = places.new_run(settings.prefix)
    Tuning(name, settings.objective, list(space), settings={kept: vars(settings)[kept] for kept in KEPT}).save()
    places.note(local_tuning=name)
    return name


def tune(name: str) -> Generator[Tuning]:
    """Run the remaining trials of this tuning, and yield it at every change.

    Optuna gets the finished trials again; an interrupted one continues in its folder. Raises UserError if another
    process already runs this tuning, if the images are no longer the same, or if the first trials all fail.
    """
    earlier = Tuning.load(name)
    with places.locked(earlier.file(name).with_name("lock"), name):
        yield from run_trials(Tuning.load(name))  # another process may have changed it before the lock


def settings_of(tuning: Tuning) -> Namespace:
    """Return the settings that a tuning on this computer keeps.

    Raises UserError if they are damaged, or contradict its trials or the images that there are.
    """
    file = tuning.file(tuning.name)
    if not tuning.settings:
        raise UserError(f"{file} has no settings, since it was not started with --local: continue it without")
    settings = Namespace(**parse_values(ADDED_KEPT | tuning.settings, KEPT, f"{file} is damaged: settings."))
    space = search_space(settings)
    if (settings.objective, list(space)) != (tuning.objective, tuning.tuned):
        raise UserError(f"{file} is damaged: objective and tuned are not those of settings")
    try:
        pictures.existing_folder(settings.data)
    except UserError as error:
        raise UserError(f"{file} has the images in settings.data: {error}") from error
    for number, trial in enumerate(tuning.trials, 1):
        if trial.name != name_of(tuning, number):
            raise UserError(f"{file} is damaged: the trial {trial.name!r} is where {name_of(tuning, number)!r} belongs")
        for name, searched in space.items():
            if not contains(searched, trial.hyperparameters[name]):
                found = f"{trial.name} has {name} {trial.hyperparameters[name]!r}"
                raise UserError(f"{file} is damaged: {found}; accepted: {searched}")
    return settings


def name_of(tuning: Tuning, number: int) -> str:
    """Return the name of a trial; the first has number 1."""
    return f"{tuning.name}/trial-{number:03}"


def run_trials(tuning: Tuning) -> Iterator[Tuning]:
    settings = settings_of(tuning)
    space = search_space(settings)
    study = new_study(settings, tuning, space)
    distributions = {name: distribution_of(searched) for name, searched in space.items()}
    for number in range(settings.max_jobs):
        proposed = study.ask(distributions)
        if number == len(tuning.trials):
            texts = as_texts(settings.hyperparameters | {"objective": settings.objective} | proposed.params)
            tuning.trials.append(Trial(name_of(tuning, number + 1), texts))
        trial = tuning.trials[number]
        for epoch, value in enumerate(trial.metrics.get(tuning.objective, ()), 1):
            proposed.report(value, epoch)
        if trial.status == RUNNING:
            yield from run_trial(trial, proposed, tuning, settings)
        state = STATES[trial.status] if trial.value is not None else TrialState.FAIL
        study.tell(proposed, trial.value if state == TrialState.COMPLETE else None, state)
        if number + 1 == FAILURES and all(trial.status == FAILED for trial in tuning.trials):
            raise UserError(f"the first {FAILURES} trials failed: {trial.reason}")
    yield tuning


def run_trial(trial: Trial, proposed: optuna.Trial, tuning: Tuning, settings: Namespace) -> Iterator[Tuning]:
    """Run one trial, stopped early if Optuna's pruner says so, and yield the tuning at every line of its log."""
    data = Path(settings.data)
    # Trials of other images could not be compared.
    pictures.check_identity(data, settings.images, tuning.name, "the same images in all trials, or a new tuning")
    root, before = places.run_folder(trial.name), trial.seconds
    reported = len(trial.metrics.get(tuning.objective, ()))
    programs.prepare_job(root, data, trial.hyperparameters, settings.images)
    tuning.save()
    yield tuning
    started = time.monotonic()
    try:
        with (root / "train.log").open("a") as log, programs.training(root, settings.image, subprocess.PIPE) as process:
            for line in process.stdout or ():
                print(line, end="", file=log, flush=True)
                trial.read(line, tuning.objective)
                trial.seconds = before + time.monotonic() - started
                values = trial.metrics.get(tuning.objective, [])
                if len(values) > reported:
                    reported = len(values)
                    proposed.report(values[-1], reported)
                    tuning.save()
                    if trial.status == RUNNING and proposed.should_prune():
                        trial.status = STOPPED
                        process.terminate()
                yield tuning
        trial.status = trial.status if trial.status == STOPPED else COMPLETED
    except programs.TrainingFailed as error:
        trial.status, trial.reason = FAILED, str(error)
    tuning.save()
    yield tuning
