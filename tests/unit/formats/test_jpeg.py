import io
import random

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from classifier.images import ImageError, decode
from helpers import encode, photo
from jpegs import EOI, KINDS, PICTURE, SOS, detailed, places, segment

BASELINE, PROGRESSIVE = KINDS["baseline"], KINDS["progressive"]
LOST = r"^damaged image: (some of its pixels|the last \d+ of its 417 rows) are missing$"
WHOLE = 10_000


def pixels(data: bytes, short_side: int = WHOLE) -> np.ndarray:
    return np.asarray(decode(data, short_side))


def with_pillow(data: bytes, short_side: int = WHOLE) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (short_side, short_side))
    return np.asarray(image.convert("RGB"))


def kinds(test):
    return pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)(test)


@kinds
@pytest.mark.parametrize("short_side", [41, 83, 166, WHOLE])
def test_pixels_are_those_of_pillow_at_each_size(data, short_side):
    """So artifacts that were trained when Pillow decoded JPEGs see the same pixels."""
    assert (pixels(data, short_side) == with_pillow(data, short_side)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 7), (8, 8), (17, 3), (5, 400)])
def test_pixels_of_small_images_are_those_of_pillow(size):
    data = encode(photo(*size))
    for short_side in (1, 2, 4, WHOLE):
        assert (pixels(data, short_side) == with_pillow(data, short_side)).all()


# Nothing is lost


HARMLESS = {
    "no end": lambda data: data[:-2],
    "half an end": lambda data: data[:-1],
    "zeros before the end": lambda data: data[:-2] + bytes(8) + EOI,
    "many zeros before the end": lambda data: data[:-2] + bytes(2226) + EOI,
    "notes before the end": lambda data: data[:-2] + b"hello" * 48 + EOI,
    "fill bytes before the end": lambda data: data[:-2] + b"\xff" * 100 + EOI,
    "junk before a table": lambda data: data[: data.index(b"\xff\xdb")] + b"junk\0" + data[data.index(b"\xff\xdb") :],
    "junk before a scan": lambda data: data[: data.index(SOS)] + b"junk\0" + data[data.index(SOS) :],
    "a second start": lambda data: data[:2] + data[:2] + data[2:],
    "a zip in the place of the end": lambda data: data[:-2] + random.Random(0).randbytes(5000),
    "another picture behind it": lambda data: data + PROGRESSIVE,
    "starts of scans behind it": lambda data: data + SOS * 50_000,
    "starts of scans in a profile": lambda data: data[:2] + segment(0xE2, SOS * 30_000) + data[2:],
    "an unknown version of JFIF": lambda data: data.replace(b"JFIF\0\1", b"JFIF\0\7"),
    "a comment that is not text": lambda data: data[:2] + segment(0xFE, bytes(range(256))) + data[2:],
}


@kinds
@pytest.mark.parametrize("harm", HARMLESS.values(), ids=HARMLESS)
def test_what_costs_no_pixels_is_harmless(data, harm):
    assert (pixels(harm(data)) == pixels(data)).all()


def test_selection_bytes_of_a_sequential_scan_mean_nothing():
    start = BASELINE.index(SOS) + 4 + 7
    assert (pixels(BASELINE[:start] + b"\0\0\0" + BASELINE[start + 3 :]) == pixels(BASELINE)).all()


def test_an_unknown_transform_of_adobes_is_that_of_most_jpegs():
    start = BASELINE.index(b"\xff\xdb")
    found = pixels(BASELINE[:2] + segment(0xEE, b"Adobe" + bytes([0, 100, 0, 0, 0, 0, 7])) + BASELINE[start:])
    assert (found == pixels(BASELINE)).all()


def test_extraneous_bytes_between_scans_and_before_restarts():
    start = places(PROGRESSIVE, SOS)[3]
    assert (pixels(PROGRESSIVE[:start] + b"hello" * 9 + PROGRESSIVE[start:]) == pixels(PROGRESSIVE)).all()
    data = KINDS["with a restart in each row"]
    start = places(data, b"\xff\xd3")[0]
    assert (pixels(data[:start] + b"hello" * 9 + data[start:]) == pixels(data)).all()


@pytest.mark.parametrize("padding", [b"", bytes(8), b"note" * 100])
def test_white_areas_are_not_lost_blocks(padding):
    """With tables of its own, a JPEG has only zeros in its data for a white area."""
    image = Image.new("RGB", (1500, 1500), "white")
    image.paste(PICTURE, (500, 500))
    data = encode(image, optimize=True)
    assert data.count(bytes(512))
    assert (pixels(data[:-2] + padding + EOI) == pixels(data)).all()
    progressive = encode(image, progressive=True)
    assert (pixels(progressive[:-2] + padding + EOI) == pixels(progressive)).all()


# Something is lost


def without_middle(data: bytes, instead: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + instead + data[half + 2048 :]


LOSSES = {
    "the last nine tenths": lambda data: data[: len(data) // 10],
    "the last half": lambda data: data[: len(data) // 2],
    "the last 60 bytes": lambda data: data[:-62],
    "the last 5 bytes": lambda data: data[:-7],
    "2 kB in the middle": lambda data: without_middle(data, b"")[:-2],
    "2 kB of zeros in the middle": lambda data: without_middle(data, bytes(2048))[:-2],
    "2 kB of ones in the middle": lambda data: without_middle(data, b"\xff" * 2048)[:-2],
    "2 kB of spaces in the middle": lambda data: without_middle(data, b" " * 2048)[:-2],
    "2 kB of noise in the middle": lambda data: without_middle(data, random.Random(0).randbytes(2048))[:-2],
    "zeros for the last tenth": lambda data: data[: -len(data) // 10] + bytes(len(data) // 10),
    "zeros for the last half": lambda data: data[: -len(data) // 2] + bytes(len(data) // 2),
}


@kinds
@pytest.mark.parametrize("end", [b"", EOI])
@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_lost_pixels_are_noticed(data, lose, end):
    lost = f"{LOST}|^damaged image: the JPEG ends (before its pixels|after scan [0-9]+, and its last ones are missing)$"
    with pytest.raises(ImageError, match=lost):
        pixels(lose(data) + end)


@pytest.mark.parametrize("name", ["baseline", "of quality 100", "4:4:4", "gray"])
def test_lost_blocks_are_noticed_wherever_they_are(name):
    data = KINDS[name]
    for start in range(data.index(SOS) + 20, len(data) - 5000, len(data) // 60):
        for length in (512, 4096):
            with pytest.raises(ImageError, match=LOST):
                pixels(data[:start] + bytes(length) + data[start + length :])


def test_the_rows_that_are_missing_are_counted():
    with pytest.raises(ImageError) as error:
        pixels(BASELINE[: len(BASELINE) // 2] + EOI)
    missing = int(str(error.value).split()[4])
    assert 417 * 0.4 < missing < 417 * 0.6
    with pytest.raises(ImageError) as scaled:
        pixels(BASELINE[: len(BASELINE) // 2] + EOI, 41)
    assert abs(int(str(scaled.value).split()[4]) - missing) <= 8


@pytest.mark.parametrize("scan", range(1, 10))
def test_a_progressive_jpeg_without_its_last_scans_is_refused(scan):
    """All its pixels would be there, but coarse."""
    end = PROGRESSIVE.rindex(b"\xff\xc4", 0, places(PROGRESSIVE, SOS)[scan])
    for data in (PROGRESSIVE[:end], PROGRESSIVE[:end] + EOI):
        with pytest.raises(
            ImageError, match=r"^damaged image: the JPEG ends after scan \d, and its last ones are miss"
        ):
            pixels(data)


def test_restarts_that_are_lost_or_in_disorder():
    data = KINDS["with a restart in each row"]
    third, fourth = places(data, b"\xff\xd2")[0], places(data, b"\xff\xd3")[0]
    swapped = data[:third] + b"\xff\xd3" + data[third + 2 : fourth] + b"\xff\xd2" + data[fourth + 2 :]
    for damaged in (data[:third] + data[fourth:], data[:third] + data[third + 2 :], swapped):
        with pytest.raises(ImageError, match=LOST):
            pixels(damaged)


# What is not decoded


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", BASELINE[:100], BASELINE[: BASELINE.index(SOS)]]
)
def test_no_pixels(data):
    with pytest.raises(ImageError, match="^damaged image: the JPEG ends before its pixels$"):
        pixels(data)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"\x0c", "Unsupported JPEG data precision 12"),
        (1, b"\0\0", "it has 333 x 0 pixels"),
    ],
)
def test_frames_that_libjpeg_refuses(offset, value, reason):
    start = BASELINE.index(b"\xff\xc0") + 4 + offset
    with pytest.raises(ImageError, match=f"^damaged image: (?i:{reason})"):
        pixels(BASELINE[:start] + value + BASELINE[start + len(value) :])


def test_a_jpeg_of_two_components():
    data = BASELINE[: BASELINE.index(b"\xff\xc0")] + segment(0xC0, bytes([8, 0, 8, 0, 8, 2, 1, 17, 0, 2, 17, 0]))
    with pytest.raises(ImageError, match="^a JPEG with 2 components; accepted: 1, 3 or 4$"):
        pixels(data + segment(0xDA, bytes([2, 1, 0, 2, 0, 0, 63, 0])) + bytes(100) + EOI)


@pytest.mark.parametrize("marker", [b"\xff\xc9", b"\xff\xca", b"\xff\xcb"])
def test_arithmetic_coding_is_refused(marker):
    """libjpeg-turbo reads zeros where such data has ended, without a warning."""
    with pytest.raises(ImageError, match="^a JPEG in arithmetic coding; accepted: a JPEG in Huffman coding"):
        pixels(BASELINE.replace(b"\xff\xc0", marker, 1))


def test_rare_subsampling_is_decoded_by_pillow(monkeypatch):
    # A gray picture with tables of its own has only zeros in its data, whatever the subsampling.
    data = encode(Image.new("RGB", (64, 64), (128, 128, 128)), subsampling=0, optimize=True)
    factors = data.index(b"\xff\xc0") + 11
    assert data[factors] == 0x11
    rare = data[:factors] + b"\x42" + data[factors + 1 :]
    asked = []
    draft = JpegImagePlugin.JpegImageFile.draft
    monkeypatch.setattr(
        JpegImagePlugin.JpegImageFile, "draft", lambda image, *size: asked.append(size) or draft(image, *size)
    )
    assert (pixels(rare) == 128).all()
    assert decode(rare, 32).size == (32, 32)
    assert len(asked) == 2
    with pytest.raises(ImageError, match="truncated"):
        pixels(rare[: rare.index(SOS) + 20])


def test_a_detailed_picture_has_no_runs():
    """Else the tests above would not show that lost blocks are told from areas."""
    assert not encode(detailed(500, 500)).count(bytes(64))
