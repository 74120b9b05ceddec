"""Work in several processes that begin at the same time, whatever each takes to start, as with torch some seconds."""

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

START_S = 120


def together(work: Callable, arguments: Sequence[tuple], meanwhile: Callable[[], None] | None = None) -> list:
    """Return the results of `work` for each of the `arguments`, each in a process of its own.

    `meanwhile` is called again and again until all are there.
    """
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(len(arguments) + 1)
    with context.Pool(len(arguments), _meet, (work, start)) as pool:
        running = pool.starmap_async(_call, [(work, values) for values in arguments], chunksize=1)
        start.wait(START_S)
        while meanwhile and not running.ready():
            meanwhile()
            running.wait(0.1)
        return running.get()


def _meet(work: Callable, start: Any) -> None:
    """Have imported the module of `work`, since it is an argument, and wait for the other processes."""
    start.wait(START_S)


def _call(work: Callable, values: tuple) -> Any:
    return work(*values)
