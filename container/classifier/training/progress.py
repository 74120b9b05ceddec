"""The progress of a job: one bar in a terminal, otherwise a log line now and then."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30
Batch = TypeVar("Batch")
# The open bars, of which there is one at most: a terminal has room for one.
_bars: list[tqdm] = []


@contextmanager
def job_bar(total: int, done: int) -> Iterator[None]:
    """In a terminal, let one bar show all steps that are counted in the block, of `total`."""
    with _bar("", total, done):
        yield


def time_left() -> str:
    """Return how long the steps of the bar will still take, such as "2:10 left"; "" if there is no bar."""
    for bar in _bars:
        if (done := bar.n - bar.initial) > 0:
            seconds = bar.format_dict["elapsed"] / done * (bar.total - bar.n)
            return f"{tqdm.format_interval(seconds)} left"
    return ""


def progress(batches: Iterable[Batch], label: str, total: int, first: int = 0, counted: bool = True) -> Iterator[Batch]:
    """Yield from `batches` and show the progress: step `first` is next, of `total` steps.

    Within job_bar() its bar moves with them if they are `counted`.
    """
    if sys.stderr.isatty():
        yield from _with_bar(batches, label, total, first, counted)
        return
    logged = time.monotonic()
    for step, batch in enumerate(batches, first):
        if time.monotonic() - logged >= SECONDS_BETWEEN_LINES:
            logged = time.monotonic()
            logger.info("%s: step %d of %d", label, step, total)
        yield batch


def _with_bar(batches: Iterable[Batch], label: str, total: int, first: int, counted: bool) -> Iterator[Batch]:
    if not _bars:
        with _bar(label, total, first):
            yield from _with_bar(batches, label, total, first, counted=True)
        return
    (bar,) = _bars
    bar.set_description_str(label)
    for batch in batches:
        yield batch
        bar.update(counted)


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    with tqdm(desc=label, total=total, initial=done, leave=False, unit="step", dynamic_ncols=True) as bar:
        _bars.append(bar)
        try:
            yield
        finally:
            _bars.clear()
