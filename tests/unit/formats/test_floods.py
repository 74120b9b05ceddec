"""Files of 24 MB made to take long: each is decoded or refused in little processor time, whatever there is much of."""

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from classifier.formats.jpeg import Jpeg
from classifier.images import ImageError, decode
from classifier.serving.decoding import MOST_PIXELS
from helpers import encode, photo
from jpegs import EOI, SOS, segment
from pngs import HEADER, chunk, empty_blocks, png_of

SIZE = 24_000_000
MOST_S = 1.0
IMAGE = photo(64, 48)
JPEG, PNG, WEBP = encode(IMAGE), encode(IMAGE, "PNG"), encode(IMAGE, "WEBP", lossless=True)
PIXELS = {data: np.asarray(decode(data, 10_000)) for data in (JPEG, PNG, WEBP)}
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
TIFF = b"MM\0*\0\0\0\x08\0\1"
EMPTY_TABLES = (b"\0" + bytes(16)) * 3854


def jpeg_with(*floods: bytes) -> bytes:
    return JPEG[:2] + b"".join(flood * (SIZE // len(flood) // len(floods)) for flood in floods) + JPEG[2:]


def png_with(flood: bytes) -> bytes:
    return PNG[:HEADER] + flood * (SIZE // len(flood)) + PNG[HEADER:]


def webp_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp(*chunks: bytes) -> bytes:
    return WEBP[:12] + b"".join(chunks)


CANVAS = webp_chunk(b"VP8X", b"\x0c\0\0\0" + bytes([63, 0, 0, 47, 0, 0]))
ANIMATED = webp_chunk(b"VP8X", b"\2\0\0\0" + bytes([63, 0, 0, 47, 0, 0])) + webp_chunk(b"ANIM", bytes(6))
FRAME = bytes(6) + bytes([63, 0, 0, 47, 0, 0]) + bytes(4)
PIXELS_OF_WEBP = WEBP[12:]

# What an ordinary camera or editor writes, if more of it than most: the same pixels.
WHOLE = {
    "XMP in many segments": (
        JPEG,
        lambda: jpeg_with(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000))),
    ),
    "profiles with starts of scans": (JPEG, lambda: jpeg_with(segment(0xE2, b"ICC_PROFILE\0\1\1" + SOS * 32_000))),
    "resources of Photoshop": (
        JPEG,
        lambda: jpeg_with(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000)),
    ),
    "previews of a camera": (JPEG, lambda: jpeg_with(segment(0xE2, b"MPF\0" + TIFF + JPEG * 20))),
    "many rationals": (
        JPEG,
        lambda: jpeg_with(segment(0xE1, EXIF + TIFF + struct.pack(">HHII", 0x128, 5, 8000, 8) * 5000)),
    ),
    "starts of scans behind the image": (JPEG, lambda: JPEG + SOS * (SIZE // 2)),
    "fill bytes": (JPEG, lambda: jpeg_with(b"\xff")),
    "zeros and junk": (JPEG, lambda: jpeg_with(b"\xff\0", b"\0")),
    "fill bytes in a scan": (JPEG, lambda: JPEG[:-2] + b"\xff" * SIZE),
    "restarts in a scan": (JPEG, lambda: JPEG[:-2] + b"\xff\xd0" * (SIZE // 2)),
    "texts of a kB": (PNG, lambda: png_with(chunk(b"tEXt", b"a\0" + b"b" * 1022))),
    "a text of new lines": (PNG, lambda: png_with(chunk(b"tEXt", b"Raw profile type exif\0" + b"\n" * 2_000_000))),
    "compressed texts": (
        PNG,
        lambda: png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(10**6)))),
    ),
    "a profile": (PNG, lambda: png_with(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**6))))),
    "pixels in pieces, most of them empty": (PNG, lambda: PNG[:HEADER] + chunk(b"IDAT", b"") * 9_000 + PNG[HEADER:]),
    "a text in a WebP": (
        WEBP,
        lambda: webp(CANVAS, PIXELS_OF_WEBP, webp_chunk(b"XMP ", b"tiff:Orientation" * (SIZE // 16))),
    ),
    "prefixes of Exif": (WEBP, lambda: webp(CANVAS, PIXELS_OF_WEBP, webp_chunk(b"EXIF", EXIF * (SIZE // 6)))),
    "9,000 chunks in a frame": (
        WEBP,
        lambda: webp(ANIMATED, webp_chunk(b"ANMF", FRAME + webp_chunk(b"ABCD", b"") * 9_000 + PIXELS_OF_WEBP)),
    ),
}


@pytest.mark.parametrize(("plain", "flood"), WHOLE.values(), ids=WHOLE)
def test_a_whole_image_is_decoded_to_the_same_pixels_in_little_time(plain, flood):
    data = flood()
    start = time.thread_time()
    assert (np.asarray(decode(data, 10_000)) == PIXELS[plain]).all()
    assert time.thread_time() - start < MOST_S


def frame(marker: int, width: int, height: int, components: int) -> bytes:
    parts = b"".join(bytes([i, 0x11, 0]) for i in range(components))
    return segment(marker, struct.pack(">BHHB", 8, height, width, components) + parts)


def scan(components: int, selection: bytes = b"\0\x3f\0") -> bytes:
    body = bytes([components]) + b"".join(bytes([i, 0]) for i in range(components)) + selection
    return segment(0xDA, body)


def raw_jpeg(marker: int, width: int, height: int, data: bytes = b"", others: bytes = b"") -> bytes:
    return JPEG[:2] + others + frame(marker, width, height, 3) + scan(3) + data + EOI


REFUSED = {
    "empty comments": (lambda: jpeg_with(segment(0xFE, b"")), "the JPEG has too many segments"),
    "empty metadata": (lambda: jpeg_with(segment(0xE1, b"")), "the JPEG has too many segments"),
    "small Exif": (lambda: jpeg_with(segment(0xE1, EXIF + b"MM\0*\0\0\0\x08\0\0")), "the JPEG has too many segments"),
    "small XMP": (lambda: jpeg_with(segment(0xE1, XMP)), "the JPEG has too many segments"),
    "restarts before a scan": (lambda: jpeg_with(b"\xff\xd0"), "the JPEG has too many segments"),
    "intervals": (lambda: jpeg_with(segment(0xDD, b"\0\0")), "the JPEG has too many segments"),
    "tables of codes": (lambda: jpeg_with(segment(0xC4, EMPTY_TABLES)), "the JPEG's tables are too long"),
    "tables of factors": (
        lambda: jpeg_with(segment(0xDB, (b"\0" + b"\1" * 64) * 1000)),
        "the JPEG's tables are too long",
    ),
    "scans": (
        lambda: JPEG[:2] + frame(0xC2, 64, 48, 3) + (scan(1, b"\0\0\0") + b"\0") * (SIZE // 13),
        "the JPEG has too many scans; accepted: up to 500",
    ),
    "components": (
        lambda: JPEG[:2] + frame(0xC2, 64, 48, 255) + scan(250) * (SIZE // 512),
        "a JPEG with 255 components; accepted: 1, 3 or 4",
    ),
    "arithmetic coding": (
        lambda: raw_jpeg(0xC9, 8000, 8000, bytes(SIZE)),
        "a JPEG in arithmetic coding; accepted: a JPEG in Huffman coding",
    ),
    "empty chunks": (lambda: png_with(chunk(b"abCd", b"")), "the PNG has too many chunks"),
    "short texts": (lambda: png_with(chunk(b"tEXt", b"a\0b")), "the PNG has too many chunks"),
    "empty pieces of pixels": (lambda: png_with(chunk(b"IDAT", b"")), "the PNG has too many chunks"),
    "damaged headers": (lambda: png_with(chunk(b"IHDR", b"", 1)), "the PNG has too many chunks"),
    "bytes behind pixels of which one is missing": (
        lambda: png_of(64, 48, 8, 2, zlib.compress(bytes(193 * 48 - 1)) + bytes(SIZE)),
        "damaged image: the last 1 of its 48 rows are missing",
    ),
    "few bytes behind them": (
        lambda: png_of(64, 48, 8, 2, zlib.compress(bytes(193 * 48 - 1)) + b"\0"),
        "damaged image: the last 1 of its 48 rows are missing",
    ),
    "empty blocks": (lambda: empty_blocks(64, 48, SIZE), "its compressed data takes too long to decode"),
    "a palette of millions of colours": (
        lambda: png_of(64, 48, 8, 3, zlib.compress(bytes(65 * 48)), others=chunk(b"PLTE", bytes(SIZE))),
        "damaged image: invalid palette size",
    ),
    "empty chunks of a WebP": (
        lambda: webp(webp_chunk(b"ABCD", b"") * (SIZE // 8), PIXELS_OF_WEBP),
        "the WebP has too many ch",
    ),
    "empty chunks in a frame": (
        lambda: webp(ANIMATED, webp_chunk(b"ANMF", FRAME + webp_chunk(b"ABCD", b"") * (SIZE // 8) + PIXELS_OF_WEBP)),
        "the WebP has too many chunks",
    ),
    "a canvas of 268 million pixels": (
        lambda: webp(webp_chunk(b"VP8X", b"\2\0\0\0" + b"\xff\x3f\0" * 2), webp_chunk(b"ANMF", FRAME + PIXELS_OF_WEBP)),
        "16384 x 16384 pixels are too many",
    ),
}


@pytest.mark.parametrize(("flood", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_flood_is_refused_in_little_time(flood, sentence):
    data = flood()
    start = time.thread_time()
    with pytest.raises(ImageError) as error:
        decode(data, 256)
    assert str(error.value).startswith(sentence)
    assert time.thread_time() - start < MOST_S


def test_restarts_count_as_pixels():
    def cost(data: bytes) -> int:
        return Jpeg(data).cost(10_000).pixels

    plain = cost(encode(Image.new("RGB", (640, 480))))
    assert plain == 640 * 480
    assert cost(encode(Image.new("RGB", (640, 480)), restart_marker_rows=1)) == plain + 25 * 29
    restarts = segment(0xDD, b"\0\1")
    assert cost(raw_jpeg(0xC0, 8000, 8000, others=restarts)) > MOST_PIXELS
