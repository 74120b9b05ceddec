"""The search for pictures that look alike: what it takes for many of them."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from classifier.training.checking import duplicates
from classifier.training.checking.details import SIDE
from classifier.training.checking.looks import THUMBNAIL


def survey_of(thumbnails):
    """Return a survey of pictures of one class with these thumbnails, which are grey and have no more details."""
    n, scale = len(thumbnails), SIDE // THUMBNAIL
    details = thumbnails.reshape(n, THUMBNAIL, THUMBNAIL, 1).repeat(scale, 1).repeat(scale, 2).repeat(3, 3)
    return SimpleNamespace(
        readable=np.ones(n, bool), thumbnails=thumbnails, details=details, labels=np.zeros(n, np.int32)
    )


@pytest.fixture
def many():
    """Thumbnails of 6,000 pictures, of which the last is the first one, and the one before it that one mirrored."""
    thumbnails = np.random.default_rng(0).integers(0, 256, (6000, THUMBNAIL**2), dtype=np.uint8)
    thumbnails[-1] = thumbnails[0]
    thumbnails[-2] = thumbnails[0].reshape(THUMBNAIL, THUMBNAIL)[:, ::-1].ravel()
    return thumbnails


def test_copies_are_found_across_blocks(many, monkeypatch):
    some = many[[0, *range(5700, 6000)]]
    for rows in (1, 7, 1000):
        monkeypatch.setattr(duplicates, "BLOCK_BYTES", 4 * len(some) * rows)
        (group,) = duplicates.near_groups(survey_of(some), []).groups
        assert group == [0, len(some) - 2, len(some) - 1]


def test_memory_grows_by_the_pictures_and_not_by_their_pairs(many):
    """All pairs of 6,000 would take 144 MB."""
    peaks = []
    for count in (3000, 6000):
        survey = survey_of(many[:count])
        tracemalloc.start()
        duplicates.near_groups(survey, [])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 3000 * 2000
