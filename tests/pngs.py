"""Writes PNGs of every kind, also damaged ones and those that Pillow does not write."""

import struct
import zlib
from collections.abc import Iterable

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = 33  # signature and IHDR
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name: bytes, body: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def rows(samples: np.ndarray, depth: int) -> bytes:
    """Return samples (height, width, channels) as rows without a filter."""
    if not samples.size:
        return b""
    flat = samples.reshape(len(samples), -1)
    if depth < 8:
        bits = flat[..., None] >> np.arange(depth)[::-1] & 1
        packed = np.packbits(bits.reshape(len(flat), -1).astype(np.uint8), axis=1)
    else:
        packed = flat.astype(">u2" if depth == 16 else np.uint8)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def png_of(
    width: int, height: int, depth: int, color: int, data: bytes, interlace: int = 0, others: bytes = b""
) -> bytes:
    """Return a PNG with these compressed pixels, and `others` before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    return SIGNATURE + chunk(b"IHDR", header) + others + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png(samples: np.ndarray, depth: int, color: int, interlace: int = 0, others: Iterable[bytes] = ()) -> bytes:
    """Return a PNG of samples (height, width, channels), and `others` before its pixels."""
    height, width, _ = samples.shape
    passes = PASSES if interlace else [(0, 0, 1, 1)]
    data = b"".join(rows(samples[y::dy, x::dx], depth) for x, y, dx, dy in passes)
    return png_of(width, height, depth, color, zlib.compress(data), interlace, b"".join(others))


def bits(*values: tuple[int, int]) -> np.ndarray:
    """Return values of so many bits each, the lowest first, as deflate writes them."""
    return np.concatenate([value >> np.arange(count) & 1 for value, count in values]).astype(np.uint8)


# A block without a byte of data in it, but with two tables of codes: zlib makes these for each block.
EMPTY_BLOCK = np.packbits(
    np.tile(
        bits(
            *[(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)],  # not the last one, with tables: 257 and 1 codes, 18 lengths
            *[(0, 3), (0, 3), (1, 3), (2, 3), *[(0, 3)] * 13, (2, 3)],  # lengths of the codes for 18, 0 and 1
            *[(0, 1), (127, 7), (0, 1), (107, 7)],  # 138 and 118 unused codes
            *[(3, 2), (3, 2), (0, 1)],  # two codes of 1 bit, and the one for the end
        ),
        8,
    ),
    bitorder="little",
).tobytes()


def empty_blocks(width: int, height: int, size: int) -> bytes:
    """Return a PNG of about `size` bytes that holds no pixels, and takes zlib long to find that out."""
    return png_of(width, height, 8, 2, b"\x78\1" + EMPTY_BLOCK * (size // len(EMPTY_BLOCK)))
