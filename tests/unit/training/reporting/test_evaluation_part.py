"""What the report says of an evaluation; the page itself is in test_report.py."""

import numpy as np
import pytest

from classifier.training.reporting.evaluation_part import most_confused
from summaries import CLASSES


@pytest.mark.parametrize(
    ("confusion", "expected"),
    [
        ([[1, 2, 0], [1, 1, 0], [0, 0, 1]], [(CLASSES[0], CLASSES[1], 2, 2 / 3), (CLASSES[1], CLASSES[0], 1, 1 / 2)]),
        ([[3, 0, 0], [0, 2, 0], [0, 0, 0]], []),
    ],
)
def test_most_confused(confusion, expected):
    assert most_confused(np.array(confusion), CLASSES) == expected
