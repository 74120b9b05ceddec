"""How far a phase is: a bar where a person watches, a plain line now and then where not."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30


def progress(batches: Iterable, label: str, total: int, first: int = 0) -> Iterator:
    """Yield from `batches`, of which there are `total` with the `first` ones that were seen before."""
    if sys.stderr.isatty():
        yield from tqdm(batches, label, total, initial=first, leave=False, unit="step")
        return
    said = time.monotonic()
    for step, batch in enumerate(batches, first):
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            logger.info("%s: step %d of %d", label, step, total)
        yield batch
