"""WebP: Pillow decodes the chunks that decide the pixels of the first frame, and does not see the others."""

import io
import struct
from collections.abc import Collection, Mapping

from PIL import Image, WebPImagePlugin

from classifier.errors import ImageError
from classifier.formats.budget import Cost, most_parts
from classifier.formats.orientation import read_orientation
from classifier.formats.runs import longest_run
from classifier.words import plural

HEADER = 12  # "RIFF", a length, and "WEBP"
# In this order, and each once. VP8X has the canvas, ALPH the transparency, ANIM and ANMF an animation and its frames.
FRAME = (b"ALPH", b"VP8 ", b"VP8L")
PIXELS = (b"VP8X", b"ANIM", b"ANMF", *FRAME)
METADATA = (b"EXIF", b"XMP ")
ANMF_HEADER = 16
# Lost blocks leave one value. Whole pixels may do so too, such as 20,000 zeros of a flat area.
RUN = 64
# Of pixels that are all there, libwebp needs all bytes but 3 at most.
END = 8
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
        self.width, self.height = _size(chunks)
        if extended := bytes(chunks.get(b"VP8X", b"")):
            chunks[b"VP8X"] = memoryview(bytes([extended[0] & ~_METADATA_FLAGS]) + extended[1:])
        self._chunks = chunks
        self._animated = chunks.get(b"ANMF")
        self._frame = _first_chunks(self._animated, ANMF_HEADER, FRAME) if self._animated else chunks
        self._suspects = [name for name in FRAME if longest_run(self._frame.get(name, b""), RUN // 2)]

    def cost(self, short_side: int) -> Cost:
        pixels = self.width * self.height
        return Cost(pixels * (1 + len(self._suspects)), BYTES_PER_PIXEL * pixels)

    def load(self, short_side: int) -> Image.Image:
        """Decode the whole first frame. Raises ImageError if blocks of it are lost, and what Pillow raises."""
        if any(map(self._can_spare_end, self._suspects)):
            raise ImageError("damaged image: some of its pixels are missing")
        return self._decode(self._frame)

    def _can_spare_end(self, name: bytes) -> bool:
        """Whether all pixels are decoded before the end of a chunk, which no encoder does.

        Data with a hole decodes as others, most often fewer than there are: libwebp leaves the rest, without a word.
        """
        try:
            self._decode({**self._frame, name: self._frame[name][:-END]})
        except (OSError, EOFError):
            return False
        return True

    def _decode(self, frame: Mapping[bytes, memoryview]) -> Image.Image:
        chunks: dict[bytes, Bytes] = {**self._chunks}
        if self._animated:
            chunks[b"ANMF"] = bytes(self._animated[:ANMF_HEADER]) + _joined(frame)
        else:
            chunks.update(frame)
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
                raise ImageError(
                    f"damaged image: {length - len(body)} of the {plural(length, 'byte')} of its pixels are missing"
                )
        position += length + length % 2
    raise ImageError(f"the WebP has too many chunks; accepted: up to {most:,}")
