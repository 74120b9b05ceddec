"""One look at an image file: what it measures, or why it cannot be read."""

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from classifier import images
from classifier.training.checking import details
from classifier.training.data.files import read_image_file

# In pixels of the shorter side: about the scale at which training sees a photo, and cheap to decode.
SIDE = 128
THUMBNAIL = 16
DIGEST_BYTES = 16


class Look(NamedTuple):
    """The measures of a readable image; brightness and contrast are of grey values from 0 to 255."""

    width: int
    height: int
    digest: bytes  # of the file's contents
    thumbnail: np.ndarray  # uint8 (THUMBNAIL**2,), grey
    details: np.ndarray  # uint8 (details.SIDE, details.SIDE, 3)
    brightness: float  # 95 % of the pixels are darker
    contrast: float  # the standard deviation
    highest: int  # the largest grey value
    has_16_bits: bool  # of which the upper 8 are seen
    sharpness: float  # the variance of the Laplacian at SIDE pixels


def look_at(path: Path) -> Look:
    """Look at the image in the file `path`. Raises ImageError with the reason if it is unreadable, and OSError."""
    data = read_image_file(path)
    width, height = images.read_size(data)
    image = images.decode(data, SIDE)
    grey = image.convert("L")
    scale = SIDE / min(grey.size)
    if scale < 1:
        grey = grey.resize([max(1, round(side * scale)) for side in grey.size], Image.Resampling.BILINEAR)
    brightness, contrast = _brightness_and_contrast(grey.histogram())
    thumbnail = np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)).ravel()
    detailed = np.asarray(image.resize((details.SIDE, details.SIDE), Image.Resampling.BOX))
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
    sharpness = _sharpness(np.asarray(grey, np.float32))
    highest, has_16_bits = int(np.asarray(grey).max()), images.has_16_bits(data)
    return Look(width, height, digest, thumbnail, detailed, brightness, contrast, highest, has_16_bits, sharpness)


def _brightness_and_contrast(histogram: list[int]) -> tuple[float, float]:
    counts, values = np.array(histogram), np.arange(256)
    mean = (counts * values).sum() / counts.sum()
    contrast = math.sqrt((counts * (values - mean) ** 2).sum() / counts.sum())
    return float(np.searchsorted(counts.cumsum(), 0.95 * counts.sum())), contrast


def _sharpness(grey: np.ndarray) -> float:
    inner = grey[1:-1, 1:-1]
    if not inner.size:
        return 0.0
    return float((grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * inner).var())
