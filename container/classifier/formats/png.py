"""PNG: Pillow decodes the chunks that decide the pixels, and does not see the others."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

from classifier.errors import ImageError
from classifier.formats import texts
from classifier.formats.budget import Clock, Cost, most_parts
from classifier.formats.orientation import read_orientation
from classifier.formats.rows import Rows
from classifier.words import plural

SIGNATURE = b"\x89PNG\r\n\x1a\n"
VITAL = (b"IHDR", b"PLTE", b"tRNS")
GRAY, RGB, PALETTE = 0, 2, 3
SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, 4: 2, 6: 4}
DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Of memory: for a picture without transparency, for one that is laid on white, and for one that is decoded twice.
PLAIN, TRANSPARENT, TWICE = 7, 14, 20


class Png:
    """A PNG; of an animation its picture for programs that show none. Raises ImageError if it lacks vital chunks."""

    def __init__(self, data: bytes):
        chunks: dict[bytes, memoryview] = {}
        self._data: list[memoryview] = []
        self._texts: dict[bytes, memoryview] = {}
        for name, body, checksum in _walk(data):
            if name == b"IDAT":  # has a checksum of its own inside
                self._data.append(body)
            elif name in VITAL:
                if name not in chunks and _checksum(name, body) == checksum:
                    chunks[name] = body
            elif kind := texts.kind_of(name, body):
                self._texts.setdefault(kind, body)
        header = bytes(chunks.get(b"IHDR", b""))
        if len(header) != 13:
            raise ImageError("damaged image: the PNG's header (IHDR) is missing or damaged")
        self.width, self.height, self._depth, self._color, *_, interlaced = struct.unpack(">IIBBBBB", header)
        if self._depth not in DEPTHS.get(self._color, ()):
            raise ImageError(
                f"damaged image: the PNG has colour type {self._color} and {plural(self._depth, 'bit')} per sample"
            )
        self._is_interlaced = bool(interlaced)
        self._header = SIGNATURE + _chunk(b"IHDR", header)
        self._palette = bytes(chunks.get(b"PLTE", b"")) if self._color == PALETTE else b""
        if self._color == PALETTE and not self._palette:
            raise ImageError("damaged image: the PNG's palette (PLTE) is missing or damaged")
        self._transparency = bytes(chunks.get(b"tRNS", b""))

    @property
    def _key(self) -> tuple[int, ...] | None:
        """The samples of the transparent colour, if there is one."""
        if self._color not in (GRAY, RGB) or len(self._transparency) != 2 * SAMPLES[self._color]:
            return None
        samples = struct.unpack(f">{SAMPLES[self._color]}H", self._transparency)
        return tuple(sample & (1 << self._depth) - 1 for sample in samples)

    def cost(self, short_side: int) -> Cost:
        pixels = self.width * self.height
        if self._needs_lower_bytes():
            return Cost(2 * pixels, TWICE * pixels)
        return Cost(pixels, (TRANSPARENT if self._color in (4, 6) or self._transparency else PLAIN) * pixels)

    def load(self, short_side: int) -> Image.Image:
        """Decode the whole image, to 8 bits per sample and with the transparent colour, if there is one, white.

        Raises ImageError if rows are missing or damaged, and what Pillow raises.
        """
        clock = Clock(self.cost(short_side).pixels)
        rows = self._rows(clock)
        image = PngImagePlugin.PngImageFile(rows)
        image.load()
        rows.check_end()
        self._check_palette(image)
        # Converting 16-bit gray would clip instead of scale.
        plain = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode == "I;16" else image
        if self._key is not None:
            plain.paste(
                255 if self._color == GRAY else "white", mask=Image.fromarray(self._is_key(image, self._key, clock))
            )
        return plain

    def orientation(self) -> int:
        return read_orientation(*texts.exif_and_xmp(self._texts))

    def _rows(self, clock: Clock) -> Rows:
        chunks = [self._header]
        if self._color == PALETTE:
            colours = len(self._palette) // 3
            chunks += [_chunk(b"PLTE", self._palette), _chunk(b"tRNS", self._transparency[:colours])]
        return Rows(
            b"".join(chunks),
            self._data,
            clock,
            width=self.width,
            height=self.height,
            bits=SAMPLES[self._color] * self._depth,
            is_interlaced=self._is_interlaced,
        )

    def _check_palette(self, image: Image.Image) -> None:
        """Raise ImageError if a pixel has a colour that the palette lacks: Pillow makes one up."""
        colours = len(self._palette) // 3
        if self._color != PALETTE or colours >= 1 << self._depth:
            return
        largest = max(colour for colour, count in enumerate(image.histogram()) if count)
        if largest >= colours:
            raise ImageError(
                f"damaged image: a pixel has colour {largest} of the PNG's palette (PLTE), which has "
                f"{plural(colours, 'colour')}, from 0 on"
            )

    def _needs_lower_bytes(self) -> bool:
        return self._key is not None and self._color == RGB and self._depth == 16

    def _is_key(self, image: Image.Image, key: tuple[int, ...], clock: Clock) -> np.ndarray:
        """Return where the samples of an `image` without alpha are the transparent colour."""
        samples = np.asarray(image)
        if self._color == GRAY:  # of which Pillow has scaled fewer bits than 8
            return samples == (key[0] * 255 // ((1 << self._depth) - 1) if 1 < self._depth < 8 else key[0])
        if not self._needs_lower_bytes():
            return _are_equal(samples, key)
        upper, lower = tuple(sample >> 8 for sample in key), tuple(sample & 255 for sample in key)
        return _are_equal(samples, upper) & _are_equal(self._lower_bytes(clock), lower)

    def _lower_bytes(self, clock: Clock) -> np.ndarray:
        """Decode the lower bytes of 16-bit RGB: Pillow takes them for the upper ones if told that they come last."""
        image = PngImagePlugin.PngImageFile(self._rows(clock))
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        return np.asarray(image)


def _are_equal(pixels: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """Return where the pixels (height, width, 3) have the colour; bytes (height, width) take less memory than all()."""
    first, *others = [pixels[..., channel] == sample for channel, sample in enumerate(colour)]
    for other in others:
        first &= other
    return first


def _checksum(name: bytes, body: bytes | memoryview) -> int:
    return zlib.crc32(body, zlib.crc32(name))


def _chunk(name: bytes, body: bytes | memoryview) -> bytes:
    return b"".join([struct.pack(">I", len(body)), name, body, struct.pack(">I", _checksum(name, body))])


def _walk(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield name, body and checksum of each chunk up to the last; a body that is cut off ends early."""
    view, position, most = memoryview(data), len(SIGNATURE), most_parts(data)
    for _ in range(most):
        length, name = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8]
        if not name.isalpha() or name == b"IEND":
            return
        end = position + 8 + length
        yield name, view[position + 8 : end], int.from_bytes(data[end : end + 4])
        position = end + 4
    raise ImageError(f"the PNG has too many chunks; accepted: up to {most:,}")
