"""Calibration: a temperature that logits are divided by, so that of the answers with 80 % confidence 80 % are right.

See Guo et al., "On Calibration of Modern Neural Networks", 2017. Which class is the most probable does not change.
"""

import math

import torch

# A few images that are all classified rightly would ask for certainty. The other way there is no harm in going far: a
# network that has seen too few images of most classes asks for more than 10, and deserves it.
LOWEST, HIGHEST = 0.5, 100.0
HALVINGS = 30
BINS = 15


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature that makes `labels` (n,) the most probable, given `logits` (n, classes); 1 if some are nan."""
    if not logits.isfinite().all():
        return 1.0
    logits, own = logits.double(), logits.double().gather(1, labels[:, None]).mean()
    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(HALVINGS):  # the loss is convex in 1 / temperature: look for where its slope is zero
        middle = (low + high) / 2
        slope = ((middle * logits).softmax(1) * logits).sum(1).mean() - own
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 2 / (low + high)


def calibration_error(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> float:
    """The expected calibration error, from 0 to 1: how far confidence and accuracy are apart; or nan."""
    if not logits.isfinite().all():
        return math.nan
    confidence, predicted = (logits / temperature).softmax(1).max(1)
    in_bin = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64)
    gaps.index_add_(0, in_bin, (predicted == labels).double() - confidence.double())
    return gaps.abs().sum().item() / len(labels)
