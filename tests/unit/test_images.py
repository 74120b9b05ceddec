import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from classifier import images
from classifier.formats import jpeg
from classifier.formats.jpeg import Jpeg
from classifier.images import ImageError, decode, evaluation_pixels
from helpers import encode, photo
from jpegs import repeated_scan, segment
from pngs import png_of

WHITE = (255, 255, 255)
WHOLE = 10_000  # a short side that no JPEG here is scaled down to


def pixels(data: bytes) -> np.ndarray:
    image = decode(data, WHOLE)
    assert image.mode == "RGB"
    return np.asarray(image)


def assert_close(found: np.ndarray, expected: np.ndarray, mean: float = 8) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < mean


# Kinds of images


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_rgb(file_format):
    image = photo(40, 30)
    assert_close(pixels(encode(image, file_format, quality=95)), np.asarray(image))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_gray(file_format):
    image = photo(40, 30).convert("L")
    assert_close(pixels(encode(image, file_format)), np.asarray(image.convert("RGB")))


def test_one_bit():
    image = photo(40, 30).convert("1")
    assert (pixels(encode(image, "PNG")) == np.asarray(image.convert("RGB"))).all()


def test_palette():
    image = photo(40, 30).quantize(16)
    assert (pixels(encode(image, "PNG")) == np.asarray(image.convert("RGB"))).all()


def test_transparent_palette_colour_becomes_white():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 2), 1)
    found = pixels(encode(image, "PNG", transparency=0))
    assert tuple(found[0, 0]) == WHITE
    assert tuple(found[2, 1]) == (0, 0, 255)


def test_transparent_gray_value_becomes_white():
    image = Image.new("L", (4, 4), 7)
    image.putpixel((1, 2), 90)
    found = pixels(encode(image, "PNG", transparency=7))
    assert tuple(found[0, 0]) == WHITE
    assert tuple(found[2, 1]) == (90, 90, 90)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_alpha_is_laid_on_white(file_format):
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    image.paste((200, 0, 0, 255), (4, 0, 8, 8))
    found = pixels(encode(image, file_format, lossless=True))
    assert tuple(found[0, 0]) == WHITE
    assert tuple(found[0, 7]) == (200, 0, 0)


def test_half_transparent_gray():
    found = pixels(encode(Image.new("LA", (4, 4), (0, 128)), "PNG"))
    assert tuple(found[0, 0]) == (127, 127, 127)


def test_cmyk_jpeg():
    image = photo(40, 30)
    assert_close(pixels(encode(image.convert("CMYK"), quality=95)), np.asarray(image))


def test_sixteen_bit_gray_keeps_the_upper_byte():
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    found = pixels(encode(Image.fromarray(values), "PNG"))
    assert (found == (values >> 8).astype(np.uint8)[..., None]).all()


def test_progressive_jpeg():
    image = photo(80, 60)
    assert_close(pixels(encode(image, progressive=True)), np.asarray(image))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_animation_gives_its_first_frame(file_format):
    first, second = photo(20, 20, seed=1), photo(20, 20, seed=2)
    data = encode(first, file_format, save_all=True, append_images=[second], lossless=True)
    assert (pixels(data) == np.asarray(first)).all()


def test_mpo_gives_its_first_picture():
    first, second = photo(40, 40, seed=1), photo(40, 40, seed=2)
    assert_close(pixels(encode(first, "MPO", save_all=True, append_images=[second])), np.asarray(first))


# Orientation

STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(orientation, file_format):
    upright = np.asarray(photo(48, 32, seed=3))
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    data = encode(image, file_format, exif=exif, **lossless)
    assert_close(pixels(data), upright)
    # Pillow's own transposition confirms the table above.
    assert_close(np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")), upright)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 40])
def test_broken_exif_leaves_the_image_as_it_is(exif):
    image = photo(40, 30)
    assert_close(pixels(encode(image, exif=exif)), np.asarray(image))


def test_unknown_orientation_leaves_the_image_as_it_is():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert pixels(encode(photo(40, 30), exif=exif)).shape == (30, 40, 3)


# What is refused


@pytest.mark.parametrize("data", [b"hello", b"\xff\xd9\xff", b"\x89PNG\n", b"RIFF\0\0\0\0WAVE", b"\0" * 1000])
def test_bytes_that_are_not_an_image(data):
    with pytest.raises(ImageError, match="^not a JPEG, PNG or WebP image$"):
        decode(data, 8)


@pytest.mark.parametrize(
    ("file_format", "kind"),
    [("GIF", "; it is a GIF"), ("BMP", "; it is a BMP"), ("TIFF", "; it is a TIFF"), ("ICO", ""), ("PPM", "")],
)
def test_other_formats_never_reach_a_decoder(file_format, kind):
    with pytest.raises(ImageError, match=f"^not a JPEG, PNG or WebP image{kind}$"):
        decode(encode(photo(16, 16), file_format), 8)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_truncated(file_format):
    data = encode(photo(200, 200), file_format)
    with pytest.raises(ImageError):
        decode(data[: len(data) * 2 // 3], 8)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_truncated_files_say_what_is_missing(file_format):
    data = encode(photo(200, 200), file_format, lossless=True)
    missing = r"^damaged image: (the last \d+ of its 200 rows|\d+ of the [\d,]+ bytes of its pixels) are missing$"
    with pytest.raises(ImageError, match=missing):
        decode(data[: len(data) * 2 // 3], 8)


def test_too_many_pixels_are_refused_before_they_are_decoded():
    # No pixels follow the header: decoding it would fail as a "damaged image".
    with pytest.raises(ImageError, match="50000 x 50000 pixels are too many; accepted: up to 64,000,000"):
        decode(png_of(50_000, 50_000, 8, 2, b""), 8)


def test_too_many_pixels_in_a_jpeg():
    data = bytearray(encode(photo(16, 16)))
    start = data.index(b"\xff\xc0")  # start of frame: marker, length, precision, height, width
    data[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(ImageError, match="too many"):
        decode(bytes(data), 8)


def test_the_limit_itself_is_accepted(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 20 * 10)
    assert decode(encode(photo(20, 10)), 8).size == (20, 10)
    with pytest.raises(ImageError, match="too many"):
        decode(encode(photo(20, 11)), 8)


SAMPLES = [encode(photo(24, 24), file_format) for file_format in ("JPEG", "PNG", "WEBP")]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(SAMPLES), st.data())
def test_damage_gives_an_image_or_an_image_error(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 8))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        assert evaluation_pixels(bytes(damaged), 16).shape == (16, 16, 3)
    except ImageError as error:
        assert str(error)


# The evaluation transform


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (32, 32), (31, 500)])
def test_every_shape_gives_a_square(size):
    found = evaluation_pixels(encode(photo(*size), "PNG"), 32)
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable


def test_the_crop_is_the_centre():
    image = Image.new("RGB", (400, 200), "black")
    image.paste("red", (112, 12, 288, 188))  # 7/8 of the shorter side is 175 of 200 pixels
    assert (evaluation_pixels(encode(image, "PNG"), 64)[2:-2, 2:-2] == (255, 0, 0)).all()
    assert (evaluation_pixels(encode(image, "PNG"), 64)[:, :, 1:] == 0).all()
    wider = Image.new("RGB", (400, 200), "black")
    wider.paste("red", (130, 30, 270, 170))
    assert (evaluation_pixels(encode(wider, "PNG"), 64)[0] == 0).all()


@pytest.mark.parametrize("side", [600, 1100, 2100])
def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same(side, monkeypatch):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side + 90, 3), dtype=np.uint8))
    data = encode(Image.blend(photo(side + 90, side), noise, 0.2), quality=90)
    assert min(decode(data, 256).size) in range(256, 551)
    scaled = evaluation_pixels(data, 224)
    monkeypatch.setattr(Jpeg, "_scale", lambda *_: 1)
    monkeypatch.setattr(images, "_reduced", lambda image, _: image)
    assert decode(data, 256).size == (side + 90, side)
    assert_close(scaled, evaluation_pixels(data, 224), mean=3)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_png_is_reduced_first_and_looks_the_same(mode, orientation, monkeypatch):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1100, 1300, 3), dtype=np.uint8))
    image = Image.blend(photo(1300, 1100), noise, 0.2)
    image.putalpha(photo(1300, 1100, seed=1).convert("L"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image.convert(mode), "PNG", exif=exif, compress_level=1)
    assert min(decode(data, 256).size) == 550
    small = evaluation_pixels(data, 224)
    monkeypatch.setattr(images, "_reduced", lambda image, _: image)
    assert_close(small, evaluation_pixels(data, 224), mean=3)


@pytest.mark.parametrize("marker", [b"", segment(0xE2, b"MPF\0" + bytes(80))])
def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded(marker, monkeypatch):
    """Also if it says that it has more pictures, for which Pillow calls it an MPO."""
    data = repeated_scan(photo(100, 100), 90)
    data = data[:2] + marker + data[2:]
    with pytest.raises(ImageError, match="^damaged image: Inconsistent progression sequence"):
        decode(data, 8)
    monkeypatch.setattr(jpeg, "SCANS_AS_PIXELS", 100 * 100 * 50 / images.MAX_PIXELS)
    with pytest.raises(ImageError, match="^100 x 100 pixels in 99 scans are too many$"):
        decode(data, 8)


def test_a_small_jpeg_is_decoded_whole():
    assert decode(encode(photo(500, 500)), 256).size == (500, 500)
