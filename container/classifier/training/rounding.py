"""Rounds a convolution's weights to int8 so that its results change little on given images, by the method of GPTQ.

Weights are rounded one input after the other, and those that follow take back what that changes in the results. The
error is a third of what rounding to the nearest leaves: benchmarks/diary.md. See https://arxiv.org/abs/2210.17323.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from classifier.layers import Convolution
from classifier.onnx_forms import WEIGHT_STEPS, weight_scales

# Of an image, for each convolution. More make no difference.
PLACES = 8
# Inputs of more channels take back little of each other's error, and time grows by the square of their number.
CHANNELS = 64
# Of the mean square of the inputs, added so that no error is taken back by weights of inputs that were hardly seen.
DAMPING = 0.01


def patches(inputs: np.ndarray, layer: Convolution, random: np.random.Generator) -> np.ndarray:
    """Return what `layer` multiplies by its weights at some places of an image: float32 (places, weights per output).

    `inputs` is what it is given, float32 (inputs, rows, columns).
    """
    edge = layer.kernel // 2
    padded = np.pad(inputs, ((0, 0), (edge, edge), (edge, edge)))
    windows = sliding_window_view(padded, (layer.kernel, layer.kernel), (1, 2))[:, :: layer.stride, :: layer.stride]
    rows, columns = windows.shape[1:3]
    places = random.choice(rows * columns, min(PLACES, rows * columns), replace=False)
    return windows[:, places // columns, places % columns].swapaxes(0, 1).reshape(len(places), -1)


def round_weights(weight: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return `weight` (outputs, inputs, rows, columns) in steps of its outputs' scales, int8 of the same shape.

    `seen` is what it is multiplied by: patches() of some images, at least one.
    """
    outputs, size = len(weight), min(CHANNELS, weight.shape[1]) * weight.shape[2] * weight.shape[3]
    in_blocks = seen.astype(np.float64).reshape(len(seen), -1, size).swapaxes(0, 1)
    shares = _shares_taken_back(in_blocks.swapaxes(1, 2) @ in_blocks)
    exact = (weight.reshape(outputs, -1) / weight_scales(weight)[:, None]).T.reshape(-1, size, outputs)
    steps, errors = np.empty_like(exact), np.empty_like(exact)
    for i in range(size):
        wanted = exact[:, i] - (shares[:, i : i + 1, :i] @ errors[:, :i])[:, 0]
        steps[:, i] = np.clip(np.rint(wanted), -WEIGHT_STEPS, WEIGHT_STEPS)
        errors[:, i] = wanted - steps[:, i]
    return steps.reshape(-1, outputs).T.reshape(weight.shape).astype(np.int8)


def _shares_taken_back(products: np.ndarray) -> np.ndarray:
    """Return how much each weight takes back of the error in each one before it: float32 (blocks, weights, before).

    `products` are the sums of the products of each two inputs, (blocks, inputs, inputs).
    """
    squares = products.diagonal(0, 1, 2).mean(1)[:, None, None]
    damped = products + np.where(squares > 0, DAMPING * squares, 1) * np.eye(products.shape[1])
    factor = np.linalg.cholesky(np.linalg.inv(damped))
    return (factor / factor.diagonal(0, 1, 2)[:, None]).astype(np.float32)
