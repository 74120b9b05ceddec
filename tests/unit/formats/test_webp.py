import struct

import numpy as np
import pytest
from PIL import Image

from classifier.formats import budget
from classifier.images import ImageError, decode
from helpers import encode, photo

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
    with pytest.raises(ImageError, match=r"^damaged image: \d+ of the \d+ bytes of its pixels are missing$"):
        pixels(data[:-missing])


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
