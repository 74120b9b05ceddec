"""Tables in the terminal, and a tuning as a person watches it."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.trials import Tuning, short


def table(
    head: Iterable[str], rows: Iterable[Iterable[object]], numbers: Iterable[str] = (), title: str | None = None
) -> Table:
    """A table; the columns named in `numbers` are set to the right."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, title=title, title_justify="left")
    for name in head:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(str, row))
    return made


def terminal() -> Console:
    """The terminal, or a wide page where nobody watches; [words] are not taken for rich's markup."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 500)


def watch(updates: Iterable[Tuning]) -> Tuning:
    """The tuning as it ended; until then a live table where a person watches, else a line for each piece of news."""
    told, watched = set(), sys.stdout.isatty()
    with Live(console=terminal(), refresh_per_second=2, transient=True) if watched else nullcontext() as live:
        for tuning in updates:
            if watched:
                live.update(of_tuning(tuning))
                continue
            for trial in tuning.trials:
                value = "" if trial.value is None else f", {tuning.objective}={trial.value:.4f}"
                news = f"{trial.name}: {trial.status}{value}"
                print(news + "\n" if news not in told else "", end="", flush=True)
                told.add(news)
    return tuning


def of_tuning(tuning: Tuning) -> Table:
    """Its trials in a table, as narrow as a terminal of 80 columns: what all of them share is said above them."""
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
    return table(head, rows, numbers, f"{tuning.name}, by {tuning.objective}")
