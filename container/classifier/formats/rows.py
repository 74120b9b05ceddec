"""Counts the rows in a PNG's compressed data: Pillow does not notice that it ends too early, and leaves zeros."""

import math
import zlib
from typing import BinaryIO

from classifier.errors import ImageError

# First column, first row, and the steps from there, of each pass of an interlaced image.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
# Of compressed data, and of what it holds. What zlib leaves over is copied each time.
SLICE, PIECE = 65_536, 1_000_000


def check_rows(file: BinaryIO, width: int, height: int, bits: int, is_interlaced: bool) -> None:
    """Raise ImageError if the compressed data in `file` has fewer rows than an image of so many bits per pixel."""
    passes = [(-((x - width) // dx), -((y - height) // dy)) for x, y, dx, dy in PASSES]
    sizes = [
        (1 + math.ceil(columns * bits / 8), rows)
        for columns, rows in (passes if is_interlaced else [(width, height)])
        if columns > 0
    ]
    expected = sum(row * rows for row, rows in sizes)
    found = _count(file, expected)
    if found >= expected:
        return
    missing = math.ceil((expected - found) / sizes[-1][0])
    what = "some of its pixels" if is_interlaced else f"the last {missing} of its {height} rows"
    raise ImageError(f"damaged image: {what} are missing")


def _count(file: BinaryIO, expected: int) -> int:
    """Return how many bytes the compressed data has, or `expected` if it has as many, or is damaged, as Pillow says."""
    inflate, count = zlib.decompressobj(), 0
    while count < expected and not inflate.eof:
        data = inflate.unconsumed_tail or file.read(SLICE)
        try:
            found = inflate.decompress(data, PIECE)
        except zlib.error:
            return expected
        if not data and not found:
            break
        count += len(found)
    return count
