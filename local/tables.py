"""Tables in the terminal, and the live view of a tuning."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.trials import Trial, Tuning, short


def table(
    head: Iterable[str], rows: Iterable[Iterable[object]], numbers: Iterable[str] = (), title: str | None = None
) -> Table:
    """Return a table; the columns named in `numbers` are aligned to the right."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, title=title, title_justify="left")
    for name in head:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(str, row))
    return made


def terminal() -> Console:
    """Return the console: the terminal, or 500 columns if the output is not one. It prints [words] as they are."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 500)


def watch(updates: Iterator[Tuning]) -> Tuning:
    """Show a tuning until it ends, and return its last state; `updates` yields at least one.

    On a terminal this is a live table, elsewhere a line for each change of a trial.
    """
    tuning, printed = next(updates), set()
    updates = chain([tuning], updates)
    live_table = Live(console=terminal(), refresh_per_second=2, transient=True)
    with live_table if sys.stdout.isatty() else nullcontext() as live:
        for tuning in updates:
            if live:
                live.update(of_tuning(tuning))
                continue
            for trial in tuning.trials:
                value = "" if trial.value is None else f", {tuning.objective}={trial.value:.4f}"
                line = f"{trial.name}: {trial.status}{value}"
                print(line + "\n" if line not in printed else "", end="", flush=True)
                printed.add(line)
    return tuning


def status_of(tuning: Tuning, trial: Trial) -> str:
    if trial is tuning.best:
        return "best"
    status = f"{trial.status}, equal" if trial in tuning.equal else trial.status
    return ": ".join(filter(None, (status, trial.reason[:80])))


def of_tuning(tuning: Tuning) -> Table:
    """Return the trials as a table that fits 80 columns; its title has what they share."""
    rows = [
        (
            tuning.called(trial),
            status_of(tuning, trial),
            *(short(trial.hyperparameters.get(name, "")) for name in tuning.tuned),
            "" if trial.value is None else f"{trial.value:.4f}",
            f"{trial.seconds:.0f} s",
        )
        for trial in tuning.trials
    ]
    head = ("trial", "status", *tuning.tuned, "value", "time")
    numbers = (*tuning.tuned, "value", "time")
    return table(head, rows, numbers, f"{tuning.name}, by {tuning.objective}")
