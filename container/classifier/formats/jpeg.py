"""JPEG: libjpeg-turbo decodes it, and says whether pixels are missing.

It only warns of missing pixels, and leaves gray in their place. simplejpeg passes on the first warning alone, so it
gets a stream without the faults that cost no pixels: those that libjpeg-turbo still warns of do.
"""

import io
import math
import re

import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin

from classifier.errors import ImageError
from classifier.formats import holes, segments
from classifier.formats.budget import Cost
from classifier.formats.orientation import read_orientation
from classifier.words import plural

# Each scan of a progressive JPEG passes over all its pixels; real ones have up to 12. 20 scans take as long as decoding
# a PNG with the same number of pixels.
SCANS_AS_PIXELS = 20
# A restart takes 1 us.
RESTART_AS_PIXELS = 25
# 12 bytes for each pixel: as libjpeg-turbo writes it, in Pillow, and converted.
BYTES_PER_PIXEL, BYTES_PER_COEFFICIENT = 12, 2
# What libjpeg-turbo leaves in the place of missing pixels.
GRAY = 128
ALIGNMENT = 32
_REMAINDER = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(\w+)")
_LOSSES = (
    "premature end of data segment",
    "bad Huffman code",
    "instead of RST",
)
# By the number of components: libjpeg-turbo's format and its samples, Pillow's mode and its name for that format.
# Pixels of four bytes are faster. CMYK is stored inverted, by Adobe's programs and those that follow them.
_FORMATS = {1: ("GRAY", 1, "L", "L"), 3: ("RGBX", 4, "RGB", "RGBX"), 4: ("CMYK", 4, "CMYK", "CMYK;I")}


class Jpeg:
    """A JPEG that has all its scans. Raises ImageError if it lacks some."""

    def __init__(self, data: bytes):
        self._frame, self._segments = segments.read_segments(data)
        self.width, self.height = self._frame.width, self._frame.height
        self.scans = len(self._segments.scans)
        self._restarts = sum(scan.restarts for scan in self._segments.scans)

    def cost(self, short_side: int) -> Cost:
        scale, whole = self._scale(short_side), self.width * self.height
        pixels = math.ceil(self.height / scale) * math.ceil(self.width / scale)
        work = max(pixels, whole * self.scans // SCANS_AS_PIXELS)
        work += RESTART_AS_PIXELS * self._restarts
        # Several scans are decoded once all their coefficients are known.
        coefficients = self._frame.samples if self.scans > 1 else 0
        return Cost(work, BYTES_PER_PIXEL * pixels + BYTES_PER_COEFFICIENT * coefficients)

    def load(self, short_side: int) -> Image.Image:
        """Decode at 1/2, 1/4 or 1/8 of the size if the shorter side keeps `short_side` pixels.

        Raises ImageError if pixels are missing, and ValueError with libjpeg-turbo's reason if it cannot decode them.
        """
        colorspace, samples, mode, raw_mode = _FORMATS[self._frame.layers]
        scale = self._scale(short_side)
        rows, columns = math.ceil(self.height / scale), math.ceil(self.width / scale)
        pixels = _unaligned(rows, columns, samples)
        least_rows, least_columns = (rows, columns) if scale > 1 else (0, 0)
        try:
            # Warnings are raised once `pixels` is full.
            simplejpeg.decode_jpeg(
                self._segments.stream(), colorspace, min_height=least_rows, min_width=least_columns, buffer=pixels
            )
        except ValueError as error:
            if "subsampling" in str(error):
                return self._load_with_pillow(short_side)
            self._check(error, pixels)
        else:
            if holes.has_hole(self._segments.scans):
                raise ImageError("damaged image: some of its pixels are missing")
        return Image.frombytes(mode, (columns, rows), pixels, "raw", raw_mode)

    def coding(self) -> str:
        """Say what makes the JPEG take long for its pixels."""
        restarts = f" with {plural(self._restarts, 'restart')}" if self._restarts else ""
        return f"{plural(self.scans, 'scan')}{restarts}"

    def orientation(self) -> int:
        # A camera divides Exif that is longer than a segment.
        return read_orientation(b"".join(self._segments.exif), b"".join(self._segments.xmp))

    def _scale(self, short_side: int) -> int:
        if self._frame.is_lossless:
            return 1
        most = min(self.width, self.height) // short_side
        return next((scale for scale in (8, 4, 2) if scale <= most), 1)

    def _check(self, warning: ValueError, pixels: np.ndarray) -> None:
        """Raise ImageError if the `warning` says that some `pixels` are missing, or itself if it is an error."""
        remainder = _REMAINDER.match(str(warning))
        if remainder:
            at_end = int(remainder[2], 16) == segments.EOI
            if not holes.explains_rest(self._segments.scans, int(remainder[1]), at_end):
                return
        elif not any(text in str(warning) for text in _LOSSES):
            raise warning
        missing = _gray_rows(pixels) * self.height // len(pixels)
        what = f"the last {missing} of its {plural(self.height, 'row')}" if missing else "some of its pixels"
        raise ImageError(f"damaged image: {what} are missing") from warning

    def _load_with_pillow(self, short_side: int) -> Image.Image:
        """Decode rare subsampling, such as 4:1:0, which simplejpeg does not.

        Pillow notices missing pixels only if the data ends before them, so an end that is missing stays so.
        """
        stream = self._segments.stream()
        if not self._segments.scans[-1].is_closed:
            stream = stream[: -len(segments.SIGNATURE)]
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(stream))
        image.draft(None, (short_side, short_side))
        image.load()
        return image


def _unaligned(*shape: int) -> np.ndarray:
    """Return memory that does not begin at a multiple of 32 bytes.

    Where rows do, libjpeg-turbo writes them past the cache, and the copy to Pillow then waits for them.
    """
    memory = np.empty(math.prod(shape) + 2 * ALIGNMENT, np.uint8)
    start = ALIGNMENT // 2 - memory.ctypes.data % ALIGNMENT + ALIGNMENT
    return memory[start : start + math.prod(shape)].reshape(shape)


def _gray_rows(pixels: np.ndarray) -> int:
    """Return how many rows at the end are gray."""
    is_gray = (pixels[..., :3] == GRAY).all(axis=(1, 2))[::-1]
    return len(is_gray) if is_gray.all() else int(is_gray.argmin())
