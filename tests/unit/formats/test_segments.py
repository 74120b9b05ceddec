import re
import time

import numpy as np
import pytest
from PIL import Image

from classifier.formats import segments
from classifier.formats.segments import read_segments
from classifier.images import ImageError, decode
from helpers import encode, photo
from jpegs import EOI, SOS, places, repeated_scan, segment

DATA = encode(photo(64, 48))
PROGRESSIVE = encode(photo(64, 48), progressive=True)


def test_a_scan_is_a_scan_only_where_it_is_one():
    for data, scans in ((DATA, 1), (PROGRESSIVE, 10)):
        profile = segment(0xE2, b"ICC_PROFILE\0" + SOS * 1000)
        assert len(read_segments(data[:2] + profile + data[2:] + SOS * 1000)[1].scans) == scans


def test_the_image_ends_with_the_scan_that_completes_it():
    last = places(PROGRESSIVE, SOS)[-1]
    more = PROGRESSIVE[:-2] + PROGRESSIVE[last:-2] * 500 + EOI
    frame, found = read_segments(more)
    assert frame.is_whole
    assert len(found.scans) == 10
    assert found.stream() == read_segments(PROGRESSIVE)[1].stream()


def test_scans_that_are_repeated_count():
    assert len(read_segments(repeated_scan(photo(64, 48), 40))[1].scans) == 49


def test_the_budget_of_segments():
    comment = segment(0xFE, b"")
    assert (np.asarray(decode(DATA[:2] + comment * 9000 + DATA[2:], 8)) == np.asarray(decode(DATA, 8))).all()
    for flood in (comment, b"\xff\x01", segment(0xE1, b"Exif\0\0")):
        start = time.process_time()
        with pytest.raises(ImageError, match="^the JPEG has too many segments; accepted: up to 1[0-9],[0-9]+$"):
            decode(PROGRESSIVE[:-2][: places(PROGRESSIVE, SOS)[0]] + flood * 1_000_000, 8)
        assert time.process_time() - start < 1


@pytest.mark.parametrize("flood", [b"\xff" * 20_000_000, b"\xff\0" * 10_000_000, b"\xff\xd0" * 10_000_000])
def test_long_data_is_walked_in_little_time(flood):
    start = time.process_time()
    _, found = read_segments(DATA[:-2] + flood)
    assert len(found.scans) == 1
    assert time.process_time() - start < 1


def test_metadata_is_limited():
    exif = segment(0xE1, b"Exif\0\0MM")
    assert len(read_segments(DATA[:2] + exif * 5000 + DATA[2:])[1].exif) == segments.MAX_METADATA


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (8, 8), (17, 200)])
@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}])
def test_restarts_needed(size, options):
    data = encode(photo(*size), restart_marker_blocks=3, **options)
    for scan in read_segments(data)[1].scans:
        assert scan.restarts == len(re.findall(rb"\xff[\xd0-\xd7]", bytes(scan.data)))


def test_whether_zeros_may_be_pixels():
    assert not read_segments(DATA)[1].scans[0].may_have_zeros
    assert read_segments(encode(Image.new("RGB", (64, 64)), optimize=True))[1].scans[0].may_have_zeros
    scans = read_segments(PROGRESSIVE)[1].scans
    assert [scan.may_repeat for scan in scans] == [True] + [False] * 5 + [True] + [False] * 3
