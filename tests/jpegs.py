"""JPEGs of several kinds, and places in them."""

import re

import numpy as np
from PIL import Image

from helpers import encode, photo

EOI, SOS = b"\xff\xd9", b"\xff\xda"


def detailed(width: int, height: int) -> Image.Image:
    """Return a picture with some noise, so that each block has as many bytes as in photos."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 2, width // 2, 3), dtype=np.uint8)
    return Image.blend(photo(width, height), Image.fromarray(noise).resize((width, height)), 0.3)


PICTURE = detailed(333, 417)
KINDS = {
    "baseline": encode(PICTURE),
    "with tables of its own": encode(PICTURE, optimize=True),
    "progressive": encode(PICTURE, progressive=True),
    "4:4:4": encode(PICTURE, subsampling=0),
    "4:2:2": encode(PICTURE, subsampling=1),
    "of quality 100": encode(PICTURE, quality=100),
    "gray": encode(PICTURE.convert("L")),
    "gray progressive": encode(PICTURE.convert("L"), progressive=True),
    "CMYK": encode(PICTURE.convert("CMYK")),
    "with a restart in each row": encode(PICTURE, restart_marker_rows=1),
    "with a restart in each 5 units": encode(PICTURE, restart_marker_blocks=5),
}


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def places(data: bytes, marker: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(marker), data)]


def repeated_scan(image: Image.Image, times: int) -> bytes:
    """Return a progressive JPEG whose first scan of many coefficients is there so often."""
    data = encode(image, progressive=True)
    start = places(data, SOS)[1]
    end = data.index(b"\xff\xc4", start)
    return data[:end] + data[start:end] * (times - 1) + data[end:]
