"""The scatter of a series of losses."""

from collections.abc import Sequence

import numpy as np


def noise(losses: Sequence[float], count: int) -> float:
    """Return how far the means of `count` and of `count` other `losses` differ by chance: two standard errors.

    Neighbouring steps differ by chance alone, whatever the trend is, and by sqrt(2) times the scatter of one step. Of
    few losses that scatter is not well known, so there are more standard errors: Student's t, to first order.
    """
    if len(losses) < 3:
        return 0.0
    of_a_step = np.std(np.diff(losses), ddof=1) / np.sqrt(2)
    errors = 2 + (2**3 + 2) / (4 * (len(losses) - 2))
    return float(errors * of_a_step * np.sqrt(2 / count))
