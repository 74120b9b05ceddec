"""Reads Exif and XMP from a PNG's chunks: in a chunk of their own, or in a text with a certain keyword."""

import binascii
import zlib

EXIF, XMP = b"eXIf", b"iTXtXML:com.adobe.xmp\0"
# ImageMagick's profiles, compressed and not.
_PROFILES = (b"zTXtRaw profile type exif\0", b"tEXtRaw profile type exif\0")
# A chunk's name, and the keyword.
KINDS = (EXIF, XMP, *_PROFILES)
# Of compressed text, and of what it holds: both say at their beginning how the picture is turned.
MOST_COMPRESSED, MOST_TEXT = 65_536, 1_000_000


def kind_of(name: bytes, body: memoryview) -> bytes | None:
    """Return which of KINDS a chunk is."""
    start = name + bytes(body[: max(map(len, KINDS))])
    return next((kind for kind in KINDS if start.startswith(kind)), None) if start.startswith(KINDS) else None


def exif_and_xmp(chunks: dict[bytes, memoryview]) -> tuple[bytes | memoryview, bytes]:
    """Return the start of Exif and of XMP of the chunks by KINDS; nothing of those that are damaged."""
    profiles = [_profile(kind, chunks[kind]) for kind in _PROFILES if kind in chunks]
    return chunks.get(EXIF) or b"".join(profiles[:1]), _xmp(chunks.get(XMP, memoryview(b"")))


def _xmp(body: memoryview) -> bytes:
    """Return the text behind two bytes, of which the first says whether it is compressed, a language and a title."""
    text = bytes(body[len(XMP) - 4 :][:MOST_TEXT])
    *_, text_itself = text[2:].split(b"\0", 2)
    return _inflated(text_itself) if text[:1] == b"\1" else text_itself


def _profile(kind: bytes, body: memoryview) -> bytes:
    """Return what the hexadecimal digits say, below a name and a length in lines of their own."""
    text = bytes(body[len(kind) - 4 :][:MOST_TEXT])
    if kind.startswith(b"zTXt"):
        text = _inflated(text[1:])
    digits = text.split(b"\n", 3)[-1].translate(None, b" \t\r\n")
    try:
        return binascii.unhexlify(digits[: len(digits) // 2 * 2])
    except ValueError:
        return b""


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data[:MOST_COMPRESSED], MOST_TEXT)
    except zlib.error:
        return b""
