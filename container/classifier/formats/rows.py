"""A PNG's rows, unpacked here: Pillow would stop once it has them all, before the checksum that says if they are right.

Pillow unpacks them once more, from blocks of zlib's that are not compressed, which is little more than a copy.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator

from classifier.errors import ImageError
from classifier.formats.budget import Clock
from classifier.words import plural

# First column, first row, and the steps from there, of each pass of an interlaced image.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
# Of compressed data: what zlib leaves over is copied each time.
SLICE = 16_384
# What Pillow reads at once, without the 5 bytes before a block.
BLOCK = 65_531
ZLIB_HEADER = b"\x78\1"
# The greatest that a chunk may have: Pillow stops reading once it has all rows.
LENGTH = struct.pack(">I", (1 << 31) - 1)


class Rows(io.BytesIO):
    """A PNG file for Pillow: the chunks in `head`, and then one of the rows in the compressed `data`.

    Reading raises ImageError if they are damaged, not all there, or take too long by the `clock`.
    """

    def __init__(
        self,
        head: bytes,
        data: Iterable[memoryview],
        clock: Clock,
        *,
        width: int,
        height: int,
        bits: int,
        is_interlaced: bool,
    ):
        super().__init__(head + LENGTH + b"IDAT" + ZLIB_HEADER)
        self._slices, self._inflate, self._clock = _slices(data), zlib.decompressobj(), clock
        self._height, self._is_interlaced = height, is_interlaced
        passes = [(-((x - width) // dx), -((y - height) // dy)) for x, y, dx, dy in PASSES]
        sizes = [
            (1 + math.ceil(columns * bits / 8), rows)
            for columns, rows in (passes if is_interlaced else [(width, height)])
            if columns > 0
        ]
        self._missing, self._last_row = sum(row * rows for row, rows in sizes), sizes[-1][0]

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes of `head`, or else a block, whatever the size; nothing behind the last row."""
        return super().read(size) or self._block()

    def check_end(self) -> None:
        """Unpack what follows the rows, up to the checksum. Raises ImageError if that is wrong.

        Data that ends with the last row lacks nothing but the checksum.
        """
        has_more = False
        while self._unpack(BLOCK):
            has_more = True
        if has_more and not self._inflate.eof:
            raise ImageError("damaged image: its compressed data has more rows than the image, and no end")

    def _block(self) -> bytes:
        if not self._missing:
            return b""
        pieces = []
        most = left = min(BLOCK, self._missing)
        while left and (piece := self._unpack(left)):
            pieces.append(piece)
            left -= len(piece)
        if left:
            missing = math.ceil((self._missing - most + left) / self._last_row)
            what = (
                "some of its pixels"
                if self._is_interlaced
                else f"the last {missing} of its {plural(self._height, 'row')}"
            )
            raise ImageError(f"damaged image: {what} are missing")
        self._missing -= most
        return b"".join([struct.pack("<BHH", 0, most, ~most & 0xFFFF), *pieces])

    def _unpack(self, most: int) -> bytes:
        """Return up to `most` of the next bytes, none at the end of the data."""
        while not self._inflate.eof:
            self._clock.check()
            data = self._inflate.unconsumed_tail or next(self._slices, b"")
            try:
                found = self._inflate.decompress(data, most)
            except zlib.error as error:
                reason = str(error).partition(": ")[2] or error
                raise ImageError(f"damaged image: its compressed data is broken: {reason}") from error
            if found or not data:
                return found
        return b""


def _slices(data: Iterable[memoryview]) -> Iterator[memoryview]:
    for part in data:
        for start in range(0, len(part), SLICE):
            yield part[start : start + SLICE]
