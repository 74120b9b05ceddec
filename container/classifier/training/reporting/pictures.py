"""Small pictures inside a page."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from classifier import images
from classifier.training.data.files import read_image_file

THUMBNAIL = 160


def data_url(image: Image.Image) -> str:
    """Return `image` as a data URL, of at most THUMBNAIL pixels on a side; it becomes that small itself."""
    buffer = io.BytesIO()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def seen_pixels(path: Path, size: int) -> np.ndarray | None:
    """Return what the model sees, uint8 (size, size, 3); None if the file cannot be read."""
    try:
        return images.evaluation_pixels(read_image_file(path), size)
    except (OSError, images.ImageError):
        return None


def seen_picture(path: Path, size: int) -> str | None:
    """Return what the model sees as a data URL; None if the file cannot be read."""
    pixels = seen_pixels(path, size)
    return None if pixels is None else data_url(Image.fromarray(pixels))


def whole_picture(path: Path) -> str | None:
    """Return the whole image as a data URL; None if the file cannot be read."""
    try:
        return data_url(images.decode(read_image_file(path), THUMBNAIL))
    except (OSError, images.ImageError):
        return None
