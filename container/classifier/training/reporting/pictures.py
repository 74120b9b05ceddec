"""Small pictures inside a page."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from classifier import images
from classifier.training.data.files import read_image_file

THUMBNAIL = 160
# Of a page, which has some 0.5 MB besides: those sent by mail or opened on a phone have 3 MB at most.
MOST_BYTES = 2_000_000


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


class Album:
    """The pictures of one page, which has room for `most_bytes` of them; files for which none is left are not read."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self.room = most_bytes

    def put(self, image: Image.Image) -> str:
        """Return `image` as data_url() does."""
        url = data_url(image)
        self.room -= len(url)
        return url

    def seen_pixels(self, path: Path, size: int) -> np.ndarray | None:
        """Return what the model sees, as seen_pixels(), of a picture that is yet to be put; None if it has no room."""
        return seen_pixels(path, size) if self.room > 0 else None

    def put_seen(self, path: Path, size: int) -> str | None:
        """Return what the model sees as a data URL; None if the file cannot be read or has no room."""
        pixels = self.seen_pixels(path, size)
        return None if pixels is None else self.put(Image.fromarray(pixels))

    def put_whole(self, path: Path) -> str | None:
        """Return the whole image as a data URL; None if the file cannot be read or has no room."""
        try:
            return self.put(images.decode(read_image_file(path), THUMBNAIL)) if self.room > 0 else None
        except (OSError, images.ImageError):
            return None
