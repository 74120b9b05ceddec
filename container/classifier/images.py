"""The image decoder, from bytes to upright RGB pixels, and the evaluation transform.

Training, evaluation and serving all read images through this file, so that a model meets the same pixels behind an
endpoint as when it was measured.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from PIL import Image

from classifier.errors import ImageError
from classifier.formats.budget import READING, Cost
from classifier.formats.jpeg import Jpeg
from classifier.formats.others import kind_of
from classifier.formats.png import Png
from classifier.formats.webp import WebP

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp")
FORMATS = ("JPEG", "PNG", "WEBP")
# 64 million pixels are 192 MB of RGB: more than common cameras make, and little enough for a small container.
MAX_PIXELS = 64_000_000
# ImageNet's convention: the evaluation crop is 224 of a 256 pixel short side.
CROP_FRACTION = 0.875

# decode() checks the limit above before it decodes anything; Pillow would only warn.
Image.MAX_IMAGE_PIXELS = None
# Exif is often damaged, and Pillow warns of that.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Called with READING, and then with the cost of the pixels; each is done within the context that it returns.
Turn = Callable[[Cost], contextlib.AbstractContextManager]


class Picture(Protocol):
    """The bytes of an image, of which everything was read but the pixels."""

    width: int
    height: int

    def cost(self, short_side: int) -> Cost:
        """Return what load() takes, and laying transparency on white."""
        ...

    def load(self, short_side: int) -> Image.Image:
        """Decode the pixels, all or so many that the shorter side keeps `short_side` of them."""
        ...

    def orientation(self) -> int:
        """Return Exif's number of how the picture is turned; other numbers than 2 to 8 leave it as it is."""
        ...


def at_once(cost: Cost) -> contextlib.AbstractContextManager:
    """The default Turn: decode at once."""
    return contextlib.nullcontext()


def decode(data: bytes, short_side: int, turn: Turn = at_once) -> Image.Image:
    """Decode a JPEG, PNG or WebP to an upright 8-bit RGB image.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its shorter side keeps at least `short_side` pixels, and other
    images are reduced if it keeps at least twice that.
    Transparency becomes white, 16-bit samples keep their upper 8 bits, and of an animation the first frame is decoded.
    Metadata and whatever follows the image never decide whether it can be decoded, and take no time.

    Raises ImageError if the bytes are not such an image or pixels are missing, and what `turn` raises.
    """
    with turn(READING), _image_errors():
        picture = _read(data)
        sides, cost = f"{picture.width} x {picture.height}", picture.cost(short_side)
        if not picture.width * picture.height:
            raise ImageError(f"damaged image: it has {sides} pixels")
        if picture.width * picture.height > MAX_PIXELS:
            raise ImageError(f"{sides} pixels are too many; accepted: up to {MAX_PIXELS:,}")
        if isinstance(picture, Jpeg) and cost.pixels > MAX_PIXELS:
            raise ImageError(f"{sides} pixels in {picture.coding()} are too many")
    with turn(cost), _image_errors():
        image = picture.load(short_side)
        # Converting an image to its own mode would copy it.
        plain = image.convert("RGBA") if image.has_transparency_data and image.mode != "RGBA" else image
        return _upright(_rgb(_reduced(plain, short_side)), picture.orientation())


def read_size(data: bytes) -> tuple[int, int]:
    """Return width and height as the file has them. Raises ImageError if the bytes are not such an image."""
    with _image_errors():
        picture = _read(data)
    return picture.width, picture.height


def is_image(data: bytes) -> bool:
    """Return whether `data` begins as a JPEG, PNG or WebP does; the rest may be damaged."""
    return _format_of(data) is not None


def has_16_bits(data: bytes) -> bool:
    """Return whether the bytes of an image are a PNG of 16 bits per sample, of which decode() keeps the upper 8."""
    return _format_of(data) is Png and data[24:25] == b"\x10"


def _read(data: bytes) -> Picture:
    """Read everything but the pixels."""
    if reader := _format_of(data):
        return reader(data)
    kind = kind_of(data)
    raise ImageError("not a JPEG, PNG or WebP image" + (f"; it is {kind}" if kind else ""))


def _format_of(data: bytes) -> Callable[[bytes], Picture] | None:
    """Return what reads the format that the first bytes alone decide."""
    if data.startswith(b"\xff\xd8"):
        return Jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Png
    return WebP if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None


@contextlib.contextmanager
def _image_errors() -> Iterator[None]:
    """Turn everything that Pillow raises on broken bytes, SyntaxError and struct.error included, into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("too little memory is left to decode this image") from error
    except Exception as error:
        raise ImageError(f"damaged image: {str(error) or type(error).__name__}") from error


def warm_up() -> None:
    """Decode one image of each format, so that Pillow loads its plugins now."""
    for name in FORMATS:
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, name)
        evaluation_pixels(stream.getvalue(), 8)


def evaluation_pixels(data: bytes, size: int, turn: Turn = at_once) -> np.ndarray:
    """Decode `data` and take the centre crop that evaluation and serving use.

    Returns uint8 pixels of shape (size, size, 3). Raises ImageError if the bytes are not a readable image.
    """
    return evaluation_crop(decode(data, math.ceil(size / CROP_FRACTION), turn), size)


def evaluation_crop(image: Image.Image, size: int) -> np.ndarray:
    """Return the centre crop of a decoded image that evaluation and serving use, (size, size, 3)."""
    side = min(image.size) * CROP_FRACTION
    left, top = (image.width - side) / 2, (image.height - side) / 2
    # Cropping and scaling in one step reads only the pixels that are kept.
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)))


def whole_pixels(data: bytes, short_side: int) -> np.ndarray:
    """Decode `data`, scaled down to `short_side` if its shorter side has more pixels.

    Returns uint8 pixels of shape (height, width, 3). Raises ImageError if the bytes are not a readable image.
    """
    image = decode(data, short_side)
    scale = short_side / min(image.size)
    if scale < 1:
        image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
    return np.array(image)


def _reduced(image: Image.Image, short_side: int) -> Image.Image:
    """Average squares of pixels if twice `short_side` remains, so that later steps work on few pixels.

    Palettes stay: they cannot be averaged before they are converted.
    """
    factor = min(image.size) // (2 * short_side)
    return image.reduce(factor) if factor > 1 and image.mode in ("L", "RGB", "RGBA", "CMYK") else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)
