"""Decoding as the peers do it: all pixels, then the usual centre crop, by Pillow or by OpenCV.

Cropping and resizing in one step gives what Resize(256) and CenterCrop(224) give, for less. OpenCV is imported where it
is used, since not every peer has it.
"""

import io

import numpy as np
from PIL import Image


def crop_box(width: int, height: int) -> tuple[int, int, int, int]:
    side = round(min(width, height) * 0.875)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def pixels(image: Image.Image, size: int) -> np.ndarray:
    """Return uint8 pixels of shape (size, size, 3)."""
    image = image.convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, crop_box(*image.size)))


def by_pillow(data: bytes, size: int) -> np.ndarray:
    return pixels(Image.open(io.BytesIO(data)), size)


def by_opencv(data: bytes, size: int) -> np.ndarray:
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    left, top, right, bottom = crop_box(image.shape[1], image.shape[0])
    return cv2.resize(image[top:bottom, left:right], (size, size), interpolation=cv2.INTER_LINEAR)
