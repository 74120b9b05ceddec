import struct
import time

import pytest

from classifier.formats.orientation import UPRIGHT, read_orientation

ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5


def exif(*entries: tuple[int, int, int, bytes], order: str = ">", start: int = 8) -> bytes:
    """Return Exif whose first directory has these entries: tag, type, count and value."""
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HI", 42, start) + bytes(start - 8)
    directory = b"".join(struct.pack(f"{order}HHI4s", *entry) for entry in entries)
    return head + struct.pack(f"{order}H", len(entries)) + directory


CAMERA = (0x010F, ASCII, 6, b"\0\0\0\x26")


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0", b"Exif\0\0Exif\0\0"])
@pytest.mark.parametrize(
    ("order", "kind", "value"),
    [
        (">", SHORT, b"\0\6\0\0"),
        ("<", SHORT, b"\6\0\0\0"),
        (">", LONG, b"\0\0\0\6"),
        ("<", LONG, b"\6\0\0\0"),
        (">", BYTE, b"\6\0\0\0"),
    ],
)
def test_one_whole_number(prefix, order, kind, value):
    for start in (8, 70_000):
        data = exif(CAMERA, (ORIENTATION, kind, 1, value), order=order, start=start)
        assert read_orientation(prefix + data, b"") == 6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Exif\0\0",
        b"garbage",
        exif(CAMERA),
        exif((ORIENTATION, SHORT, 1, b"\0\6\0\0"))[:-1],
        exif((ORIENTATION, SHORT, 0, b"\0\6\0\0")),
        exif((ORIENTATION, SHORT, 2, b"\0\6\0\6")),
        exif((ORIENTATION, RATIONAL, 1, b"\0\0\0\x08")),
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0",
    ],
)
def test_anything_else_is_upright(data):
    assert read_orientation(data, b"") == UPRIGHT


def test_a_directory_that_is_cut_off_is_read_so_far():
    data = exif((ORIENTATION, SHORT, 1, b"\0\3\0\0"), CAMERA, CAMERA)
    assert read_orientation(data[:-20], b"") == 3


def test_xmp_counts_where_exif_says_nothing():
    for xmp in (b'<x tiff:Orientation="8"/>', b"<tiff:Orientation>8</tiff:Orientation>"):
        assert read_orientation(b"", xmp) == 8
        assert read_orientation(exif(CAMERA), xmp) == 8
        assert read_orientation(exif((ORIENTATION, SHORT, 1, b"\0\6\0\0")), xmp) == 6
    assert read_orientation(b"", b"tiff:Orientation" * 9) == UPRIGHT


FAR = b"\0\0\0\x08"
LONG_METADATA = {
    "an orientation of 750,000 values": (exif((ORIENTATION, SHORT, 750_000, FAR)) + bytes(24_000_000), b""),
    "many rationals": (exif((0x0128, RATIONAL, 3_000_000, FAR)) + bytes(24_000_000), b""),
    "many tags of the same bytes": (exif(*[(i, BYTE, 700_000, FAR) for i in range(65_535) if i != ORIENTATION]), b""),
    "many prefixes": (b"Exif\0\0" * 4_000_000, b""),
    "many beginnings": (b"", b"tiff:Orientation" * 1_500_000),
}


@pytest.mark.parametrize(("data", "xmp"), LONG_METADATA.values(), ids=LONG_METADATA)
def test_long_metadata_takes_little_time(data, xmp):
    start = time.thread_time()
    assert read_orientation(data, xmp) == UPRIGHT
    assert time.thread_time() - start < 0.3
