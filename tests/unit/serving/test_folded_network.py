import copy

import numpy as np
import pytest
import torch

from classifier import network
from classifier.artifact import Artifact
from classifier.serving.fixed_batch import FixedBatch
from classifier.serving.folded_network import FoldedNetwork
from networks import trained

CPU, F16, BF16 = torch.device("cpu"), torch.float16, torch.bfloat16
SIZE = 64
ABOUT = Artifact(tuple("0123456789"), SIZE, eps=1e-5, temperature=1.5)
PIXELS = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> network.ResNet18:
    return trained()


def fold(model: network.ResNet18, dtype: torch.dtype) -> FoldedNetwork:
    return FoldedNetwork({name: tensor.numpy() for name, tensor in model.state_dict().items()}, ABOUT, CPU, dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (F16, 0.005), (BF16, 0.05)], ids=str)
def test_it_computes_what_the_network_does(model, dtype, tolerance):
    pixels = torch.from_numpy(PIXELS)
    with torch.inference_mode():
        expected = (model(network.Normalize()(pixels)) / ABOUT.temperature).softmax(1)
    found = fold(model, dtype)(pixels)
    assert found.dtype == torch.float32
    assert expected.max() - expected.min() > 0.2
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def test_a_batch_is_padded_and_its_rows_are_those_of_single_images(model):
    folded = fold(model, torch.float32)
    single, eight = (FixedBatch(folded, n, SIZE, CPU) for n in (1, 8))
    expected = np.concatenate([single(image[None]) for image in PIXELS])
    for n in (8, 5, 1):  # after a larger batch, whose images stay in the rows that are left
        found = eight(PIXELS[-n:])
        assert (found.dtype, found.shape) == (np.float32, (n, 10))
        np.testing.assert_allclose(found, expected[-n:], atol=1e-5)


@pytest.mark.parametrize(("name", "value"), [("bn1.weight", 1e8), ("bn1.bias", 6e4)])
def test_what_fp16_cannot_hold_is_noticed(model, name, value):
    """A weight; and outputs of weights that are within the range."""
    changed = copy.deepcopy(model)
    changed.get_parameter(name).data.fill_(value)
    pixels = torch.from_numpy(PIXELS[:1])
    assert [fold(changed, dtype).fits(pixels) for dtype in (F16, BF16)] == [False, True]
    assert fold(model, F16).fits(pixels)
