import struct

import numpy as np
import pytest
from PIL import Image

from classifier.formats import budget
from classifier.formats.runs import longest_run
from classifier.formats.webp import RUN
from classifier.images import ImageError, decode
from helpers import encode, photo
from jpegs import detailed

EXIF = Image.Exif()
EXIF[0x0112] = 6
PHOTO = photo(60, 50)
PIXELS = np.asarray(PHOTO)
FULL = encode(PHOTO, "WEBP", lossless=True, exif=EXIF, xmp=b"<x/>" * 10, icc_profile=b"x" * 99)
SIMPLE = encode(PHOTO, "WEBP", lossless=True)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, 10_000))


def test_metadata_that_is_cut_off_costs_no_pixels():
    assert (pixels(FULL) == np.rot90(PIXELS, -1)).all()
    assert (pixels(FULL[:-20]) == np.rot90(PIXELS, -1)).all()
    assert (pixels(FULL[: FULL.index(b"EXIF") + 12]) == PIXELS).all()


@pytest.mark.parametrize("size", [0, 100, 99_999])
def test_the_size_of_the_file_in_its_head_does_not_matter(size):
    assert (pixels(FULL[:4] + struct.pack("<I", size) + FULL[8:]) == np.rot90(PIXELS, -1)).all()


def test_broken_exif_leaves_the_image_as_it_is():
    start = FULL.index(b"EXIF") + 8
    assert (pixels(FULL[:start] + b"\xff" * 20 + FULL[start + 20 :]) == PIXELS).all()


@pytest.mark.parametrize("data", [SIMPLE, encode(PHOTO, "WEBP"), FULL[: FULL.index(b"EXIF")]])
@pytest.mark.parametrize("missing", [2, 30])
def test_missing_pixels_are_noticed(data, missing):
    with pytest.raises(ImageError, match=r"^damaged image: \d+ of the [\d,]+ bytes of its pixels are missing$"):
        pixels(data[:-missing])


def clear(data: bytes, name: bytes, start: float, size: int | None = None) -> bytes:
    """Return a WebP in which the last chunk `name` has zeros from a part of its body on."""
    at = data.rindex(name)
    length = struct.unpack_from("<I", data, at + 4)[0]
    body = bytearray(data[at + 8 : at + 8 + length])
    hole = slice(int(start * length), None if size is None else int(start * length) + size)
    body[hole] = bytes(len(body[hole]))
    return data[: at + 8] + body + data[at + 8 + length :]


LARGE = detailed(200, 160)
TRANSPARENT = LARGE.copy()
TRANSPARENT.putalpha(LARGE.convert("L"))
DETAILED = {
    "lossy": (encode(LARGE, "WEBP"), b"VP8 "),
    "lossless": (encode(LARGE, "WEBP", lossless=True), b"VP8L"),
    "transparency": (encode(TRANSPARENT, "WEBP"), b"ALPH"),
    "an animation": (encode(LARGE, "WEBP", save_all=True, append_images=[TRANSPARENT.convert("RGB")]), b"VP8 "),
}


@pytest.mark.parametrize(("data", "name"), DETAILED.values(), ids=DETAILED)
def test_zeros_at_the_end_of_the_pixels_never_pass(data, name):
    pixels(data)
    first = data if data.count(b"ANMF") < 2 else data[: data.rindex(b"ANMF")]
    for start in np.arange(0.2, 0.9, 0.1):
        with pytest.raises(ImageError, match="^damaged image: "):
            pixels(clear(first, name, start))


def test_lost_blocks_are_noticed():
    data, name = DETAILED["lossy"]
    for start in np.arange(0.2, 0.9, 0.1):
        with pytest.raises(ImageError, match="^damaged image: "):
            pixels(clear(data, name, start, 512))


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"lossless": True, "quality": 0, "method": 0}])
def test_runs_of_zeros_that_are_pixels_pass(options):
    """libwebp writes a flat area so."""
    wide = Image.new("RGB", (1000, 800), "black")
    wide.paste("white", (500, 0, 1000, 800))
    gradient = Image.fromarray(np.add.outer(np.arange(800), np.arange(1000)).astype(np.uint8))
    for image in (wide, gradient, Image.new("RGB", (3000, 2000), (13, 200, 77))):
        data = encode(image.convert("RGB"), "WEBP", **options)
        if image is wide and not options:
            assert longest_run(data, RUN // 2) >= RUN
        assert pixels(data).shape == (image.height, image.width, 3)


def test_what_follows_the_image_does_not_matter():
    assert (pixels(SIMPLE + b"PK\3\4" * 500) == PIXELS).all()


def test_an_animation_gives_its_first_frame_whatever_follows():
    others = [photo(60, 50, seed) for seed in range(1, 4)]
    data = encode(PHOTO, "WEBP", lossless=True, save_all=True, append_images=others, exif=EXIF)
    assert (pixels(data) == np.rot90(PIXELS, -1)).all()
    assert (pixels(data[: len(data) // 2]) == PIXELS).all()
    with pytest.raises(ImageError, match="bytes of its pixels are missing"):
        pixels(data[: len(data) // 8])


def test_alpha_is_kept():
    image = PHOTO.copy()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    for options in ({}, {"exif": EXIF}):
        data = encode(image, "WEBP", lossless=True, exact=True, **options)
        assert (pixels(data) == (np.rot90(expected, -1) if options else np.asarray(expected))).all()


def test_what_cannot_be_read_says_why():
    for data in (SIMPLE[:12], SIMPLE[:12] + b"ABCD\0\0\0\0", SIMPLE[:16] + b"\4\0\0\0abcd"):
        with pytest.raises(
            ImageError, match="^damaged image: (could not create decoder object|the WebP has no pixels)$"
        ):
            pixels(data)


def test_very_many_chunks_are_refused(monkeypatch):
    monkeypatch.setattr(budget, "FEW_PARTS", 20)
    with pytest.raises(ImageError, match="^the WebP has too many chunks; accepted: up to [23][0-9]$"):
        pixels(SIMPLE + b"ABCD\0\0\0\0" * 30)
