"""The scatter of a series of losses."""

from collections.abc import Sequence

import numpy as np


def noise(losses: Sequence[float], count: int) -> float:
    """Return how far the means of `count` and of `count` other `losses` differ by chance: two standard errors.

    Neighbouring steps differ by chance alone, whatever the trend is, and by sqrt(2) times the scatter of one step.
    """
    if len(losses) < 3:
        return 0.0
    of_a_step = np.std(np.diff(losses)) / np.sqrt(2)
    return float(2 * of_a_step * np.sqrt(2 / count))
