"""Calibration: dividing logits by a temperature, so that of the predictions with 80 % confidence 80 % are correct.

See Guo et al., "On Calibration of Modern Neural Networks", 2017. The predicted class does not change.
"""

import math

import torch

# A small set that is classified without a mistake would drive the temperature to 0, so it is bounded. The upper bound
# is high: a network that has seen too few images of most classes needs more than 10.
LOWEST, HIGHEST = 0.5, 100.0
HALVINGS = 30
BINS = 15


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the temperature from LOWEST to HIGHEST that minimises the cross entropy; 1 if any logit is not finite.

    `logits` is (n, classes), `labels` (n,).
    """
    if not logits.isfinite().all():
        return 1.0
    logits, own = logits.double(), logits.double().gather(1, labels[:, None]).mean()
    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(HALVINGS):  # the loss is convex in 1 / temperature: bisect to where its slope is zero
        middle = (low + high) / 2
        slope = ((middle * logits).softmax(1) * logits).sum(1).mean() - own
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 2 / (low + high)


def calibration_error(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> float:
    """Return the expected calibration error, from 0 to 1; nan if any logit is not finite.

    It is the mean gap between confidence and accuracy in BINS bins of equal width, weighted by their images.
    `logits` is (n, classes), `labels` (n,).
    """
    if not logits.isfinite().all():
        return math.nan
    confidence, predicted = (logits / temperature).softmax(1).max(1)
    in_bin = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64)
    gaps.index_add_(0, in_bin, (predicted == labels).double() - confidence.double())
    return gaps.abs().sum().item() / len(labels)
