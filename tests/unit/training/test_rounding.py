"""The rounding of weights by what they are multiplied by."""

import numpy as np
import pytest
import torch

from classifier.layers import CONVOLUTIONS, Convolution
from classifier.onnx_forms import WEIGHT_STEPS, weight_scales
from classifier.training.rounding import CHANNELS, PLACES, patches, round_weights

RANDOM = np.random.default_rng(0)


def weight(outputs: int, inputs: int, kernel: int) -> np.ndarray:
    return RANDOM.normal(size=(outputs, inputs, kernel, kernel)).astype(np.float32)


def alike(places: int, size: int) -> np.ndarray:
    """Return inputs of which each is much like the one before, as those of neighbouring pixels are."""
    return np.maximum(RANDOM.normal(size=(places, size)).cumsum(1), 0).astype(np.float32)


def error(exact: np.ndarray, steps: np.ndarray, seen: np.ndarray) -> float:
    """Return how far results of rounded weights are off, as a part of the results."""
    rounded = steps * weight_scales(exact)[:, None, None, None]
    results, found = (seen @ one.reshape(len(one), -1).T for one in (exact, rounded))
    return np.linalg.norm(found - results) / np.linalg.norm(results)


@pytest.mark.parametrize(("inputs", "kernel"), [(CHANNELS, 1), (CHANNELS, 3), (2 * CHANNELS, 3)])
def test_results_change_less_than_by_rounding_to_the_nearest(inputs, kernel):
    exact, seen = weight(16, inputs, kernel), alike(500, inputs * kernel**2)
    nearest = np.rint(exact / weight_scales(exact)[:, None, None, None])
    steps = round_weights(exact, seen[:400])
    assert (steps.dtype, steps.shape) == (np.int8, exact.shape)
    assert abs(steps).max() <= WEIGHT_STEPS
    # Also for inputs that it was not given.
    assert error(exact, steps, seen[400:]) < error(exact, nearest, seen[400:]) / 2


@pytest.mark.parametrize("seen", [np.zeros((3, 576), np.float32), np.full((1, 576), 1e30, np.float32)])
def test_inputs_that_say_little_still_give_near_steps(seen):
    exact = weight(4, CHANNELS, 3)
    steps = round_weights(exact, seen) * weight_scales(exact)[:, None, None, None]
    assert np.abs(steps - exact).mean() < 0.1


def test_weights_that_are_all_zero_stay_so():
    assert not round_weights(np.zeros((4, CHANNELS, 3, 3), np.float32), alike(5, 576)).any()


@pytest.mark.parametrize("name", ["layer1.0.conv1", "layer2.0.conv1", "layer2.0.downsample"])
@torch.inference_mode()
def test_patches_are_what_the_convolution_multiplies(name):
    layer: Convolution = CONVOLUTIONS[name]
    inputs, weights = RANDOM.normal(size=(layer.inputs, 9, 8)), weight(5, layer.inputs, layer.kernel)
    inputs = inputs.astype(np.float32)
    seen = patches(inputs, layer, np.random.default_rng(0))
    assert seen.shape == (PLACES, layer.inputs * layer.kernel**2)
    results = torch.conv2d(
        torch.from_numpy(inputs)[None], torch.from_numpy(weights), stride=layer.stride, padding=layer.kernel // 2
    )[0]
    at_each_place = results.flatten(1).numpy().T
    for found in seen @ weights.reshape(5, -1).T:
        assert np.abs(at_each_place - found).max(1).min() < 1e-3


def test_a_small_image_has_fewer_places():
    layer = CONVOLUTIONS["layer4.1.conv2"]
    assert patches(np.ones((512, 1, 1), np.float32), layer, np.random.default_rng(0)).shape == (1, 4608)
