"""Whether a network's answer for an image depends on the other images of its batch. It must not."""

from collections.abc import Callable, Sequence

import numpy as np

# Of a probability of an image alone and in a batch. A GPU may add in another order for each. OpenVINO 2026.4 is wrong
# by 0.2 and more for a single image of 32 px, with an untrained network in an earlier form of int8: see
# benchmarks/diary.md.
MOST_DIFFERENCE = 0.05


def compare(
    forwards: Sequence[Callable[[np.ndarray], np.ndarray]], image_size: int, n: int, classes: int
) -> tuple[np.ndarray, float]:
    """Return the last function's rows for `n` images of noise, and by how much a probability differs for one alone.

    Each function takes uint8 pixels of (1, image_size, image_size, 3), the last one also of n images; the probabilities
    of so many `classes` are first in a row. The difference is the largest of all. If it is more than MOST_DIFFERENCE,
    or not a number, the engine is at fault.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (n, image_size, image_size, 3), np.uint8)
    rows, some = forwards[-1](pixels), range(0, n, max(1, n // 2))
    alone = [(forward(pixels[i : i + 1])[0], rows[i]) for forward in forwards for i in some]
    return rows, float(np.max([np.abs(one - other)[:classes].max() for one, other in alone]))
