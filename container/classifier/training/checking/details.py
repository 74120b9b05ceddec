"""Whether two pictures that look alike at first sight are copies: colours and small parts are compared too.

Photos of a fixed camera, and things that differ in colour alone, have the same small grey thumbnail.
"""

import numpy as np

# Cells on a side, in colour: of a photo of 100 pixels a mark of 5 is seen.
SIDE = 32
# What a copy may differ in any cell, of the picture's own contrast: recompressed and halved photos differ up to 0.5,
# one with a mark of 5 of its 96 pixels 0.5 to 4 (benchmarks/diary.md).
MOST = 0.6
# Of low contrast, where a JPEG's own faults weigh more.
LEAST_CONTRAST = 10.0
# Brighter copies lose what is above white.
WHITE = 250
# Up to here a picture is grey, and the other one is compared with it in grey.
MOST_COLOUR = 8
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Pairs that are compared at a time.
PAIRS = 256


def are_copies(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return of each pair of pictures, uint8 (n, SIDE, SIDE, 3), whether they are the same but for light and codec."""
    return np.concatenate(
        [np.zeros(0, bool)]
        + [
            _are_copies(ones[start : start + PAIRS].astype(np.float32), others[start : start + PAIRS])
            for start in range(0, len(ones), PAIRS)
        ]
    )


def _are_copies(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    others = others.astype(np.float32)
    grey = ~(_coloured(ones) & _coloured(others))
    for pictures in (ones, others):
        pictures[grey] = (pictures[grey] @ LUMA)[..., None]
    flat = (len(ones), -1)
    ones, others = ones.reshape(flat), others.reshape(flat)
    white, other_white = ones >= WHITE, others >= WHITE
    seen = ~(white | other_white)
    seen[seen.mean(1) < 0.25] = True
    difference = _normal(ones, seen) - _normal(others, seen)
    # What is white may be brighter than that in the other picture, and no darker.
    difference[white & (difference < 0)] = 0
    difference[other_white & (difference > 0)] = 0
    cells = np.abs(difference).reshape(len(ones), SIDE * SIDE, 3).mean(2)
    return cells.max(1) < MOST


def _coloured(pictures: np.ndarray) -> np.ndarray:
    return np.ptp(pictures, 3).max((1, 2)) > MOST_COLOUR


def _normal(pictures: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the pictures without their brightness and contrast; brightness is measured where `seen`."""
    centred = pictures - (pictures * seen).sum(1, keepdims=True) / seen.sum(1, keepdims=True)
    contrast = np.sqrt((centred**2 * seen).sum(1, keepdims=True) / seen.sum(1, keepdims=True))
    # A dark thing before white has little contrast of its own.
    return centred / np.maximum(contrast, np.maximum(pictures.std(1, keepdims=True), LEAST_CONTRAST))
