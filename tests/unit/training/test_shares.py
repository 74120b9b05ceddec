import pytest

from classifier.training.shares import are_equal, interval, words


def test_the_interval_is_wilsons():
    """As published: Newcombe, Statistics in Medicine 17, 1998, 81 of 263 and 0 of 20."""
    assert interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


def test_a_share_has_its_number_and_interval():
    assert words(0.972, 179) == "97.2 % of 179 images (95 %: 94 to 99)"
    assert words(1, 1) == "100.0 % of 1 image (95 %: 21 to 100)"


@pytest.mark.parametrize(("n", "expected"), [(0, False), (100, True), (10_000, False)])
def test_few_images_cannot_tell_two_shares_apart(n, expected):
    assert are_equal(0.90, 0.93, n) == expected
