from pathlib import Path

import torch

from classifier.training.data.batch import make_batch
from classifier.training.data.folders import Phase

PHASE = Phase("train", Path(), ("a", "b", "c", "d"), (0, 1, 2, 3), {})
FEATURES = torch.arange(8.0).reshape(4, 2)


def test_unreadable_images_are_left_out_and_named():
    batch = make_batch(PHASE, [3, 1, 0], {1: "cut off", 2: "elsewhere"}, lambda positions: FEATURES[positions])
    assert batch.inputs.tolist() == [[6, 7], [0, 1]]
    assert (batch.labels.tolist(), batch.positions.tolist()) == ([3, 0], [3, 0])
    assert batch.skipped == {1: "cut off"}


def test_a_batch_of_unreadable_images_is_empty_and_has_its_types():
    batch = make_batch(PHASE, [1, 2], {1: "cut off", 2: "cut off"}, lambda positions: FEATURES[positions])
    assert (len(batch), batch.inputs.shape) == (0, (0, 2))
    assert (batch.labels.dtype, batch.positions.dtype) == (torch.int64, torch.int64)
