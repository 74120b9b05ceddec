"""Runs of one value: what disks and downloads leave in the place of lost blocks."""

import numpy as np


def longest_run(data: bytes | memoryview, piece: int) -> int:
    """Return how many bytes in a row are equal at most, rounded down by less than two times `piece`, an even number."""
    values = np.frombuffer(data, np.uint8)
    pieces = values[: len(values) // piece * piece].reshape(-1, piece)
    if not (pieces[:, 0] == pieces[:, piece // 2]).any():  # which is most often so, and cheap
        return 0
    is_run = np.concatenate([[False], (pieces == pieces[:, :1]).all(axis=1), [False]])
    return piece * int(np.diff(np.flatnonzero(~is_run)).max() - 1)
