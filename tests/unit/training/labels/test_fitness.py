"""Which networks may judge labels, by their confusion matrix of validation."""

import numpy as np
import pytest

from classifier.training.labels.in_job import find_unfitness


@pytest.mark.parametrize(
    ("confusion", "why_not"),
    [
        ([[1, 1], [1, 1]], "right in 50.0 % of 4 images (95 %: 15 to 85) of validation may be luck"),
        ([[1, 1, 0], [0, 1, 1], [1, 0, 1]], "the most frequent class alone has 33 %"),
        ([[2, 0, 0], [0, 1, 1], [1, 0, 1]], "right in 66.7 % of 6 images"),
        ([[90, 0], [9, 1]], "right in 91.0 % of 100 images (95 %: 84 to 95) of validation may be luck, since"),
        ([[2, 3], [3, 2]], "wrong in more than half of the 10 validation images"),
        ([[1, 2], [0, 0]], "wrong in more than half of the 3 validation images"),
        ([[1]], "may be luck"),
    ],
)
def test_a_network_that_may_be_guessing_judges_no_labels(confusion, why_not):
    assert why_not in find_unfitness(np.array(confusion))


@pytest.mark.parametrize("confusion", [[[2, 0, 0], [0, 2, 0], [0, 1, 1]], [[15, 5], [5, 15]], [[88, 2], [2, 8]]])
def test_a_network_that_is_surely_better_than_guessing_judges_them(confusion):
    assert find_unfitness(np.array(confusion)) == ""
