"""WebP: Pillow decodes the chunks that decide the pixels of the first frame, and does not see the others."""

import io
import struct
from collections.abc import Collection, Mapping

from PIL import Image, WebPImagePlugin

from classifier.errors import ImageError
from classifier.formats.budget import Cost, most_parts
from classifier.formats.orientation import read_orientation

HEADER = 12  # "RIFF", a length, and "WEBP"
# In this order, and each once. VP8X has the canvas, ALPH the transparency, ANIM and ANMF an animation and its frames.
FRAME = (b"ALPH", b"VP8 ", b"VP8L")
PIXELS = (b"VP8X", b"ANIM", b"ANMF", *FRAME)
METADATA = (b"EXIF", b"XMP ")
ANMF_HEADER = 16
# VP8X says which of colour profile, Exif and XMP follow.
_METADATA_FLAGS = 0x20 | 0x08 | 0x04
# libwebp has two canvases of an animation, and Pillow two copies of the picture, each of 4 bytes a pixel.
BYTES_PER_PIXEL = 20

Bytes = bytes | memoryview


class WebP:
    """A WebP image. Raises ImageError if it is none or its pixels are not all there."""

    def __init__(self, data: bytes):
        chunks = _first_chunks(memoryview(data), HEADER, (*PIXELS, *METADATA))
        self._metadata = [chunks.pop(name, b"") for name in METADATA]
        self._chunks = chunks
        self.width, self.height = _size(self._chunks)

    def cost(self, short_side: int) -> Cost:
        pixels = self.width * self.height
        return Cost(pixels, BYTES_PER_PIXEL * pixels)

    def load(self, short_side: int) -> Image.Image:
        """Decode the whole first frame. Raises what Pillow raises."""
        chunks: dict[bytes, Bytes] = {**self._chunks}
        if extended := bytes(self._chunks.get(b"VP8X", b"")):
            chunks[b"VP8X"] = bytes([extended[0] & ~_METADATA_FLAGS]) + extended[1:]
        if animated := self._chunks.get(b"ANMF"):
            inside = _first_chunks(animated, ANMF_HEADER, FRAME)
            chunks[b"ANMF"] = bytes(animated[:ANMF_HEADER]) + _joined(inside)
        body = b"WEBP" + _joined(chunks)
        image = WebPImagePlugin.WebPImageFile(io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body))
        image.load()
        return image

    def orientation(self) -> int:
        return read_orientation(*self._metadata)


def _size(chunks: Mapping[bytes, Bytes]) -> tuple[int, int]:
    """Return width and height of the canvas, else of the image. Raises ImageError if there is neither."""
    canvas, lossy, lossless = (bytes(chunks.get(name, b"")[:10]) for name in (b"VP8X", b"VP8 ", b"VP8L"))
    if len(canvas) >= 10:
        return int.from_bytes(canvas[4:7], "little") + 1, int.from_bytes(canvas[7:10], "little") + 1
    if len(lossy) >= 10:
        return int.from_bytes(lossy[6:8], "little") & 0x3FFF, int.from_bytes(lossy[8:10], "little") & 0x3FFF
    if len(lossless) >= 5:
        sides = int.from_bytes(lossless[1:5], "little")
        return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    raise ImageError("damaged image: the WebP has no pixels")


def _joined(chunks: Mapping[bytes, Bytes]) -> bytes:
    pieces = []
    for name in PIXELS:
        if (body := chunks.get(name)) is not None:
            pieces += [name, struct.pack("<I", len(body)), body, bytes(len(body) % 2)]
    return b"".join(pieces)


def _first_chunks(data: memoryview, position: int, names: Collection[bytes]) -> dict[bytes, memoryview]:
    """Return the bodies of the first chunks of these names.

    Raises ImageError if some with pixels are cut off, or there are very many chunks.
    """
    found: dict[bytes, memoryview] = {}
    most = most_parts(data)
    for _ in range(most):
        if position + 8 > len(data):
            return found
        name, length = struct.unpack_from("<4sI", data, position)
        position += 8
        if name in names and name not in found:
            found[name] = body = data[position : position + length]
            if name in PIXELS and len(body) < length:
                # libwebp would decode some of these without a word.
                raise ImageError(f"damaged image: {length - len(body)} of the {length} bytes of its pixels are missing")
        position += length + length % 2
    raise ImageError(f"the WebP has too many chunks; accepted: up to {most:,}")
