import struct
import zlib

import numpy as np
import pytest

from classifier.formats import budget
from classifier.images import ImageError, decode
from helpers import encode, photo
from pngs import HEADER, chunk, png, png_of, rows

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (4, 8), (4, 16), (6, 8), (6, 16)]
RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3))
WHOLE = png(RGB, 8, 2)
BOMB = zlib.compress(bytes(30_000_000))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, 10_000))


def with_chunks(*chunks: bytes) -> bytes:
    return WHOLE[:HEADER] + b"".join(chunks) + WHOLE[HEADER:]


def samples_of(color: int, depth: int, shape: tuple[int, int] = (13, 17)) -> np.ndarray:
    """Return random samples, of which some have one colour, and some of 16 bits differ from it in the lower byte."""
    samples = np.random.default_rng(depth).integers(0, 1 << depth, (*shape, CHANNELS[color]))
    samples[::3] = samples[0, 0]
    samples[1::3, ::2] = samples[0, 0] ^ 1
    return samples


def reference(samples: np.ndarray, depth: int, color: int, key: tuple[int, ...] | None = None) -> np.ndarray:
    """Return what the PNG specification says: samples of 8 bits on white, the key compared with the original ones."""
    scaled = samples >> 8 if depth == 16 else samples * 255 // ((1 << depth) - 1)
    colours = scaled[..., :3] if color in (2, 6) else scaled[..., :1].repeat(3, axis=2)
    alpha = scaled[..., -1:] / 255 if color in (4, 6) else np.ones((*samples.shape[:2], 1))
    if key is not None:
        alpha = alpha * (samples != key).any(axis=2, keepdims=True)
    return np.rint(colours * alpha + 255 * (1 - alpha)).astype(np.uint8)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("color", "depth"), DEPTHS)
def test_every_kind_is_scaled_to_8_bits(color, depth, interlace):
    samples = samples_of(color, depth)
    assert (pixels(png(samples, depth, color, interlace)) == reference(samples, depth, color)).all()


@pytest.mark.parametrize("shape", [(13, 17), (1, 1)])
@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("color", "depth"), [kind for kind in DEPTHS if kind[0] in (0, 2)])
def test_the_transparent_colour_is_that_of_the_original_samples(color, depth, interlace, shape):
    samples = samples_of(color, depth, shape)
    most = (1 << depth) - 1
    for key in (samples[0, 0], samples[-1, -1], [0] * CHANNELS[color], [most] * CHANNELS[color]):
        key = tuple(int(sample) for sample in key)
        transparency = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
        found = pixels(png(samples, depth, color, interlace, [transparency]))
        assert (found == reference(samples, depth, color, key)).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("alphas", [[], [0], [255, 0], [128], list(range(2)), [255] * 300])
def test_palette(depth, alphas):
    colours = np.random.default_rng(1).integers(0, 256, (1 << depth, 3))
    samples = samples_of(3, depth)
    chunks = [chunk(b"PLTE", colours.astype(np.uint8).tobytes())] + [chunk(b"tRNS", bytes(alphas))] * bool(alphas)
    alpha = (np.array([*alphas, *[255] * 256])[samples]) / 255
    expected = np.rint(colours[samples[..., 0]] * alpha + 255 * (1 - alpha))
    assert np.abs(pixels(png(samples, depth, 3, others=chunks)) - expected).max() <= 1


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_colour_that_the_palette_lacks_is_named(depth, interlace):
    """Wherever the pixel is: in the first 8 x 8 are all passes of an interlaced image, and the last one is a corner."""
    colours = (1 << depth) - 1
    palette = np.random.default_rng(1).integers(0, 256, (colours, 3))
    chunks = [chunk(b"PLTE", palette.astype(np.uint8).tobytes())]
    samples = np.random.default_rng(depth).integers(0, colours, (13, 17, 1))
    assert (pixels(png(samples, depth, 3, interlace, chunks)) == palette[samples[..., 0]]).all()
    sentence = (
        f"^damaged image: a pixel has colour {colours} of the PNG's palette .* has {colours} colours?, from 0 on$"
    )
    for place in [*np.ndindex(8, 8), (12, 16)]:
        damaged = samples.copy()
        damaged[place] = colours
        with pytest.raises(ImageError, match=sentence):
            pixels(png(damaged, depth, 3, interlace, chunks))


def test_what_fills_a_row_up_has_no_colour():
    """Of 5 pixels of one bit: the other 3 of the byte are no pixels."""
    data = png_of(5, 1, 1, 3, zlib.compress(bytes([0, 0b111])), others=chunk(b"PLTE", bytes(range(3))))
    assert (pixels(data) == (0, 1, 2)).all()


METADATA = {
    "a text with a wrong checksum": chunk(b"tEXt", b"a\0b", 1),
    "gamma with a wrong checksum": chunk(b"gAMA", b"\0\0\0\1", 1),
    "gamma cut off": chunk(b"gAMA", b"\0"),
    "a text of 30 MB": chunk(b"zTXt", b"a\0\0" + BOMB),
    "an international text of 30 MB": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB),
    "Exif of 30 MB": chunk(b"zTXt", b"Raw profile type exif\0\0" + BOMB),
    "a colour profile of 30 MB": chunk(b"iCCP", b"a\0\0" + BOMB),
    "a resolution cut off": chunk(b"pHYs", b"\0"),
    "chromaticities cut off": chunk(b"cHRM", b"\0"),
    "a transparent colour cut off": chunk(b"tRNS", b"\0"),
    "a transparent colour with a wrong checksum": chunk(b"tRNS", b"\0\1\0\2\0\3", 1),
    "a text with a reserved name": chunk(b"tEXt", b"transparency\0abc"),
    "an animation cut off": chunk(b"acTL", b"\0"),
    "a frame that is empty": chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", bytes(26)),
    "a suggested palette with a wrong checksum": chunk(b"PLTE", b"\0", 1),
    "broken Exif": chunk(b"eXIf", bytes(9)),
    "a chunk nobody knows": chunk(b"vpAg", bytes(9)),
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA)
def test_metadata_never_decides(metadata):
    assert (pixels(with_chunks(metadata)) == RGB).all()


def test_pixels_have_a_checksum_of_their_own():
    """So a wrong one around them costs nothing, nor do an end that is missing or anything behind it."""
    start = WHOLE.index(b"IEND") - 8
    assert (pixels(WHOLE[:start] + b"\1\2\3\4" + WHOLE[start + 4 :]) == RGB).all()
    assert (pixels(WHOLE[: start + 4]) == RGB).all()
    assert (pixels(WHOLE + b"PK\3\4" * 500) == RGB).all()
    middle = HEADER + len(WHOLE) // 2
    with pytest.raises(ImageError, match="^damaged image: its compressed data is broken: incorrect data check$"):
        pixels(WHOLE[:middle] + bytes([WHOLE[middle] ^ 1]) + WHOLE[middle + 1 :])


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("level", [1, 6, 9])
def test_lost_bytes_never_pass(interlace, level):
    """Of a photo, whose rows differ little: the compressed data often goes on with zeros, and fills the rows."""
    samples = np.asarray(photo(96, 64)).astype(int)
    packed = zlib.compress(zlib.decompress(png(samples, 8, 2, interlace)[HEADER + 8 : -16]), level)
    for lost in range(1, 20):
        at = len(packed) * lost // 20
        for hole in (slice(at, None), slice(at, at + 64)):
            damaged = bytearray(packed)
            damaged[hole] = bytes(len(damaged[hole]))
            with pytest.raises(ImageError, match="^damaged image: "):
                pixels(png_of(96, 64, 8, 2, bytes(damaged), interlace))


@pytest.mark.parametrize("interlace", [0, 1])
def test_rows_that_are_all_there_need_no_checksum_but_a_right_one(interlace):
    data = png(RGB, 8, 2, interlace)[HEADER + 8 : -16]
    assert (pixels(png_of(50, 40, 8, 2, data[:-4], interlace)) == RGB).all()
    with pytest.raises(ImageError, match="^damaged image: its compressed data is broken: incorrect data check$"):
        pixels(png_of(50, 40, 8, 2, data[:-4] + bytes(4), interlace))


def test_more_rows_need_an_end():
    data = zlib.compress(rows(RGB, 8) + bytes(10_000))
    assert (pixels(png_of(50, 40, 8, 2, data)) == RGB).all()
    with pytest.raises(ImageError, match="^damaged image: its compressed data has more rows than the image, and no"):
        pixels(png_of(50, 40, 8, 2, data[:-6]))


@pytest.mark.parametrize(
    ("chunks", "orientation"),
    [
        ([b"Exif"], 6),
        ([b"XMP"], 6),
        ([b"Exif", METADATA["a text of 30 MB"], METADATA["gamma cut off"]], 6),
        ([METADATA["Exif of 30 MB"]], 1),
    ],
)
def test_orientation_is_read_beside_damaged_metadata(chunks, orientation):
    exif = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    named = {
        b"Exif": chunk(b"eXIf", exif),
        b"XMP": chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
    }
    expected = np.rot90(RGB, -1) if orientation == 6 else RGB
    assert (pixels(with_chunks(*[named.get(one, one) for one in chunks])) == expected).all()


def test_orientation_in_a_profile_of_imagemagick():
    exif = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    text = b"\nexif\n%8d\n%s\n" % (len(exif) + 6, (b"Exif\0\0" + exif).hex().encode())
    found = pixels(with_chunks(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))))
    assert (found == np.rot90(RGB, -1)).all()


def cut(interlace: int, least: int) -> bytes:
    """Return a PNG whose compressed data is complete, but lacks the last `least` bytes of rows."""
    whole = zlib.decompress(png(RGB, 8, 2, interlace)[HEADER + 8 : -16])
    return png_of(50, 40, 8, 2, zlib.compress(whole[:-least]), interlace)


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (cut(0, 20 * 151), "the last 20 of its 40 rows"),
        (cut(0, 151), "the last 1 of its 40 rows"),
        (cut(0, 1), "the last 1 of its 40 rows"),
        (cut(1, 3000), "some of its pixels"),
        (cut(1, 1), "some of its pixels"),
        (WHOLE[:HEADER], "the last 40 of its 40 rows"),
        (WHOLE[:3300], "the last 19 of its 40 rows"),
    ],
)
def test_missing_rows_are_noticed(data, missing):
    with pytest.raises(ImageError, match=f"^damaged image: {missing} are missing$"):
        pixels(data)


@pytest.mark.parametrize("interlace", [0, 1])
def test_black_rows_are_not_missing(interlace):
    assert not pixels(png(RGB * 0, 8, 2, interlace)).any()
    behind = zlib.compress(rows(RGB * 0, 8) + bytes(30_000_000))
    assert not pixels(png_of(50, 40, 8, 2, behind)).any()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(samples_of(3, 8), 8, 3), r"the PNG's palette \(PLTE\) is missing or damaged"),
        (png(samples_of(3, 8), 8, 3, others=[chunk(b"PLTE", bytes(768), 1)]), r"the PNG's palette \(PLTE\) is missing"),
        (WHOLE[:8], r"the PNG's header \(IHDR\) is missing or damaged"),
        (WHOLE[:29] + b"\0\0\0\0" + WHOLE[33:], r"the PNG's header \(IHDR\) is missing or damaged"),
        (png_of(5, 5, 8, 5, b""), "the PNG has colour type 5 and 8 bits per sample"),
        (png_of(5, 5, 16, 3, b""), "the PNG has colour type 3 and 16 bits per sample"),
        (png_of(0, 5, 8, 2, b""), "it has 0 x 5 pixels"),
    ],
)
def test_what_cannot_be_read_says_why(data, reason):
    with pytest.raises(ImageError, match=f"^damaged image: {reason}"):
        pixels(data)


def test_pixels_in_many_chunks():
    body = WHOLE[HEADER + 8 : -16]
    pieces = b"".join(chunk(b"IDAT", body[i : i + 1]) for i in range(len(body)))
    assert (pixels(WHOLE[:HEADER] + pieces) == RGB).all()


def test_very_many_chunks_are_refused(monkeypatch):
    monkeypatch.setattr(budget, "FEW_PARTS", 20)
    assert (pixels(with_chunks(*[chunk(b"tEXt", b"")] * 15)) == RGB).all()
    with pytest.raises(ImageError, match="^the PNG has too many chunks; accepted: up to [23][0-9]$"):
        pixels(with_chunks(*[chunk(b"tEXt", b"")] * 30))


@pytest.mark.parametrize("cut_at", [0.5, 0.9])
def test_an_animation_gives_its_first_frame_whatever_follows(cut_at):
    first = photo(60, 50)
    data = encode(first, "PNG", save_all=True, append_images=[photo(60, 50, seed) for seed in range(1, 6)])
    assert (pixels(data[: int(len(data) * cut_at)]) == np.asarray(first)).all()
