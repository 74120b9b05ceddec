"""Tables in the terminal, and the live view of a tuning."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import chain
from types import MappingProxyType

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from tqdm import tqdm

from classifier.training.hyperparameters import Hyperparameters
from classifier.words import printable
from local.trials import Trial, Tuning, short
from local.tuning_fields import RUNNING

# In characters, so that no column moves while trials run; with the names of most hyperparameters they fit 80.
WIDTHS = {"status": 13, "value": 6, "time": 6}


def table(
    head: Iterable[str],
    rows: Iterable[Iterable[object]],
    numbers: Iterable[str] = (),
    title: str | None = None,
    widths: Mapping[str, int] = MappingProxyType({}),
) -> Table:
    """Return a table; the columns named in `numbers` are aligned to the right, `widths` are the least in characters."""
    made = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=0, title=title and printable(title), title_justify="left"
    )
    for name in head:
        side = "right" if name in numbers else "left"
        made.add_column(name, justify=side, overflow="fold", min_width=widths.get(name))
    for row in rows:
        made.add_row(*(printable(str(cell)) for cell in row))  # the name of a file may have a line break
    return made


class Terminal(Console):
    """Raises BrokenPipeError where rich's own ends the program without a word."""

    def on_broken_pipe(self) -> None:
        raise


def terminal() -> Console:
    """Return the console: the terminal, or 500 columns if the output is not one. It prints [words] as they are."""
    return Terminal(highlight=False, markup=False, width=None if sys.stdout.isatty() else 500)


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
    if trial.status == RUNNING and (done := epochs_done(trial)):
        return f"epoch {done}/{epochs_of(trial)}"
    status = f"{trial.status}, equal" if trial in tuning.equal else trial.status
    return ": ".join(filter(None, (status, trial.reason[:80])))


def epochs_done(trial: Trial) -> int:
    return max(map(len, trial.metrics.values()), default=0)


def epochs_of(trial: Trial) -> int:
    return int(trial.hyperparameters.get("epochs", Hyperparameters().epochs))


def time_left(tuning: Tuning) -> str:
    """Return how long a tuning on this computer will still take, such as "2:10 left"; "" while that is not known."""
    running = [trial for trial in tuning.trials if trial.status == RUNNING]
    ended = [trial.seconds for trial in tuning.trials if trial.status != RUNNING]
    if not ended:
        ended = [trial.seconds / done * epochs_of(trial) for trial in running if (done := epochs_done(trial))]
    total = tuning.settings.get("max_jobs")
    if not running or not ended or not isinstance(total, int):
        return ""
    ahead = total - (len(tuning.trials) - len(running))
    seconds = ahead * sum(ended) / len(ended) - sum(trial.seconds for trial in running)
    return f"{tqdm.format_interval(max(0, seconds))} left"


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
    title = ", ".join(filter(None, (tuning.name, f"by {tuning.objective}", time_left(tuning))))
    return table(head, rows, numbers, title, WIDTHS | dict.fromkeys(tuning.tuned, 8))
