"""A tuning as a person watches it."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext

import console
from local.trials import Tuning, short


def watch(updates: Iterable[Tuning]) -> Tuning:
    """The tuning as it ended; until then a live table where a person watches, else a line for each piece of news."""
    from rich.live import Live

    told, watched = set(), sys.stdout.isatty()
    with Live(refresh_per_second=2, transient=True) if watched else nullcontext() as live:
        for tuning in updates:
            if watched:
                live.update(table(tuning))
                continue
            for trial in tuning.trials:
                value = "" if trial.value is None else f", {tuning.objective}={trial.value:.4f}"
                news = f"{trial.name}: {trial.status}{value}"
                print(news + "\n" if news not in told else "", end="", flush=True)
                told.add(news)
    return tuning


def table(tuning: Tuning) -> object:
    """Its trials, as narrow as a terminal of 80 columns: what all of them share is said above them."""
    rows = [
        (
            tuning.called(trial),
            "best" if trial is tuning.best else ": ".join(filter(None, (trial.status, trial.reason[:80]))),
            *(short(trial.hyperparameters.get(name, "")) for name in tuning.tuned),
            "" if trial.value is None else f"{trial.value:.4f}",
            f"{trial.seconds:.0f} s",
        )
        for trial in tuning.trials
    ]
    head = ("trial", "status", *tuning.tuned, "value", "time")
    numbers = (*tuning.tuned, "value", "time")
    return console.table(head, rows, numbers, f"{tuning.name}, by {tuning.objective}")
