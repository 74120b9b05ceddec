"""WebP: Pillow decodes the chunks that decide the pixels of the first frame, and does not see the others."""

import io
import struct
from collections.abc import Iterator

from PIL import Image, WebPImagePlugin

from classifier.errors import ImageError

HEADER = 12  # "RIFF", a length, and "WEBP"
MAX_CHUNKS = 10_000
# In this order, and each once. VP8X has the canvas, ALPH the transparency, ANIM and ANMF an animation and its frames.
PIXELS = (b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
METADATA = {b"EXIF": "exif", b"XMP ": "xmp"}
# VP8X says which of colour profile, Exif and XMP follow.
_METADATA_FLAGS = 0x20 | 0x08 | 0x04


class WebP:
    """A WebP image. Raises what Pillow raises if it cannot be read."""

    def __init__(self, data: bytes):
        chunks: dict[bytes, bytes] = {}
        for name, body, length in _walk(data):
            if name in PIXELS and name not in chunks and len(body) < length:
                # libwebp would decode some of these without a word.
                raise ImageError(f"damaged image: {length - len(body)} of the {length} bytes of its pixels are missing")
            if name in PIXELS or name in METADATA:
                chunks.setdefault(name, bytes(body))
        if b"VP8X" in chunks:
            extended = chunks[b"VP8X"]
            chunks[b"VP8X"] = bytes([extended[0] & ~_METADATA_FLAGS]) + extended[1:] if extended else b""
        body = b"WEBP" + b"".join(_chunk(name, chunks[name]) for name in PIXELS if name in chunks)
        self._image = WebPImagePlugin.WebPImageFile(io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body))
        self._metadata = {key: chunks[name] for name, key in METADATA.items() if name in chunks}
        self.width, self.height = self._image.size

    def cost(self, short_side: int) -> int:
        """Return the number of pixels to decode; it is the same for each size."""
        return self.width * self.height

    def load(self, short_side: int) -> Image.Image:
        """Decode the whole first frame. Raises what Pillow raises."""
        self._image.load()
        return self._image

    def described(self) -> Image.Image | None:
        """Return an image with the metadata alone, or None if there is none."""
        if not self._metadata:
            return None
        image = Image.new("1", (1, 1))
        image.info.update(self._metadata)
        return image


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _walk(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield name, body and length of each chunk; a body that is cut off is shorter than its length."""
    position = HEADER
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            return
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, memoryview(data)[position + 8 : position + 8 + length], length
        position += 8 + length + length % 2
    raise ImageError(f"the WebP has too many chunks; accepted: up to {MAX_CHUNKS:,}")
