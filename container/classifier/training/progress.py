"""The progress of a phase: a bar in a terminal, otherwise a log line now and then."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30
Batch = TypeVar("Batch")


def progress(batches: Iterable[Batch], label: str, total: int, first: int = 0) -> Iterator[Batch]:
    """Yield from `batches` and show the progress: step `first` is next, of `total` steps."""
    if sys.stderr.isatty():
        yield from tqdm(batches, label, total, initial=first, leave=False, unit="step")
        return
    logged = time.monotonic()
    for step, batch in enumerate(batches, first):
        if time.monotonic() - logged >= SECONDS_BETWEEN_LINES:
            logged = time.monotonic()
            logger.info("%s: step %d of %d", label, step, total)
        yield batch
