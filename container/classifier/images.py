"""The image decoder, from bytes to upright RGB pixels, and the evaluation transform.

Training, evaluation and serving all read images through this file, so that a model meets the same pixels behind an
endpoint as when it was measured.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
FORMATS = ("JPEG", "PNG", "WEBP")
# 64 million pixels are 192 MB of RGB: more than common cameras make, and little enough for a small container.
MAX_PIXELS = 64_000_000
# Each scan of a progressive JPEG passes over all its pixels, and 20 MB hold a million scans; real ones have up to 12.
# 20 scans take as long as decoding a PNG with the same number of pixels.
SCANS_AS_PIXELS = 20
_SCAN = b"\xff\xda"
# ImageNet's convention: the evaluation crop is 224 of a 256 pixel short side.
CROP_FRACTION = 0.875

# decode() checks the limit above before it decodes anything; Pillow would only warn.
Image.MAX_IMAGE_PIXELS = None
# Damaged metadata is common among 100,000 photos, and harmless; damaged pixels raise.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Called with the number of pixels to decode; the image is decoded within the context that it returns.
Turn = Callable[[int], contextlib.AbstractContextManager]


class ImageError(ValueError):
    """The bytes are not a readable image; the text says why."""


def at_once(pixels: int) -> contextlib.AbstractContextManager:
    """The default Turn: decode at once."""
    return contextlib.nullcontext()


def decode(data: bytes, short_side: int, turn: Turn = at_once) -> Image.Image:
    """Decode a JPEG, PNG or WebP to an upright 8-bit RGB image.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its shorter side keeps at least `short_side` pixels, and other
    images are reduced if it keeps at least twice that.
    Transparency becomes white, 16-bit samples keep their upper 8 bits, and of an animation the first frame is decoded.

    Raises ImageError if the bytes are not such an image, and what `turn` raises.
    """
    with _image_errors():
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise ImageError(f"{image.width} x {image.height} pixels are too many; accepted: up to {MAX_PIXELS:,}")
        scans = data.count(_SCAN) if image.format == "JPEG" else 0
        scanning = pixels * scans // SCANS_AS_PIXELS
        if scanning > MAX_PIXELS:
            raise ImageError(f"{image.width} x {image.height} pixels in {scans} scans are too many")
        image.draft(None, (short_side, short_side))
    with turn(max(image.width * image.height, scanning)), _image_errors():
        image.load()
        # Converting an image to its own mode would copy it.
        plain = image.convert("RGBA") if image.has_transparency_data and image.mode != "RGBA" else image
        return _upright(_rgb(_reduced(plain, short_side)), _orientation(image))


@contextlib.contextmanager
def _image_errors() -> Iterator[None]:
    """Turn everything that Pillow raises on broken bytes, SyntaxError and struct.error included, into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise ImageError("not a JPEG, PNG or WebP image") from error
    except Exception as error:
        raise ImageError(f"damaged image: {error or type(error).__name__}") from error


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
    image = decode(data, math.ceil(size / CROP_FRACTION), turn)
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

    Palettes and 16-bit samples stay: they cannot be averaged before they are converted.
    """
    factor = min(image.size) // (2 * short_side)
    return image.reduce(factor) if factor > 1 and image.mode in ("L", "RGB", "RGBA", "CMYK") else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit gray: convert() would clip instead of scale
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # the pixels may be fine even if the EXIF is broken
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)
