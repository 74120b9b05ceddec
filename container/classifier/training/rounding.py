"""Rounds a convolution's weights to int8 so that its results change little on given images, by the method of GPTQ.

Weights are rounded one input after the other, and those that follow take back what that changes in the results. The
error is a third of what rounding to the nearest leaves: benchmarks/diary.md. See https://arxiv.org/abs/2210.17323.
"""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from classifier.layers import Convolution
from classifier.onnx_forms import WEIGHT_STEPS, weight_scales

# Of an image, for each convolution. More make no difference.
PLACES = 8
# Inputs of more channels take back little of each other's error, and time grows by the square of their number.
CHANNELS = 64
# Weights after which all that follow are changed at once, which is faster than after each.
GROUP = 32
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
    in_blocks = torch.from_numpy(seen).double().view(len(seen), -1, size).transpose(0, 1)
    shares = _shares_taken_back(in_blocks.mT @ in_blocks)
    in_steps = weight.reshape(outputs, -1) / weight_scales(weight)[:, None]
    wanted = torch.from_numpy(in_steps).T.contiguous().view(-1, size, outputs)
    steps, errors = torch.empty_like(wanted), torch.empty_like(wanted)
    for first in range(0, size, GROUP):
        end = min(first + GROUP, size)
        for i in range(first, end):
            steps[:, i] = wanted[:, i].round().clamp(-WEIGHT_STEPS, WEIGHT_STEPS)
            errors[:, i] = wanted[:, i] - steps[:, i]
            wanted[:, i + 1 : end] -= shares[:, i + 1 : end, i, None] * errors[:, None, i]
        wanted[:, end:] -= shares[:, end:, first:end] @ errors[:, first:end]
    return steps.view(-1, outputs).T.reshape(weight.shape).to(torch.int8).numpy()


def _shares_taken_back(products: torch.Tensor) -> torch.Tensor:
    """Return how much each weight takes back of the error in each one before it: float32 (blocks, weights, before).

    `products` are the sums of the products of each two inputs, (blocks, inputs, inputs).
    """
    squares = products.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    damped = products + torch.where(squares > 0, DAMPING * squares, 1) * torch.eye(products.shape[1])
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))  # linalg.inv of several at once fails in torch 2.10
    factor = torch.linalg.cholesky(inverse)
    return (factor / factor.diagonal(dim1=1, dim2=2)[:, None]).float()
