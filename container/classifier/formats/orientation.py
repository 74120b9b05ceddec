"""Reads how a picture is turned from Exif and XMP, and nothing else of them."""

import re
import struct
from typing import Literal

UPRIGHT = 1
_TAG = 0x0112
_ORDERS: dict[bytes, tuple[Literal["little", "big"], str]] = {b"II": ("little", "<"), b"MM": ("big", ">")}
# By TIFF's number of a type: the bytes of a whole number.
_SIZES = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4}
_PREFIX = b"Exif\0\0"
_IN_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([0-9])")


def read_orientation(exif: bytes | memoryview, xmp: bytes | memoryview) -> int:
    """Return the number of the orientation in Exif, else in XMP; UPRIGHT if neither has one.

    Either may be empty, damaged or cut off.
    """
    found = _in_exif(memoryview(exif))
    if found is None and (match := _IN_XMP.search(xmp)):
        return int(match[1])
    return UPRIGHT if found is None else found


def _in_exif(data: memoryview) -> int | None:
    """Return the orientation in the first directory, where it is one whole number."""
    for _ in range(2):  # some programs write the prefix twice
        data = data[len(_PREFIX) :] if data[: len(_PREFIX)] == _PREFIX else data
    if bytes(data[:2]) not in _ORDERS:
        return None
    order, sign = _ORDERS[bytes(data[:2])]
    start = int.from_bytes(data[4:8], order)
    entry = struct.Struct(f"{sign}HHI4s")
    number = min(int.from_bytes(data[start : start + 2], order), len(data[start + 2 :]) // entry.size)
    for tag, kind, count, value in entry.iter_unpack(data[start + 2 :][: number * entry.size]):
        if tag == _TAG and count == 1 and kind in _SIZES:
            return int.from_bytes(value[: _SIZES[kind]], order)
    return None
