"""Calibration: dividing logits by a temperature, so that of the predictions with 80 % confidence 80 % are correct.

See Guo et al., "On Calibration of Modern Neural Networks", 2017. The predicted class does not change.
"""

import math
from typing import NamedTuple

import torch

# A small set that is classified without a mistake would drive the temperature to 0, so it is bounded. The upper bound
# is high: a network that has seen too few images of most classes needs more than 10.
LOWEST, HIGHEST = 0.5, 100.0
HALVINGS = 30
BINS = 15
# Fewer images say too little of the error: a temperature fitted on 2 made it twenty times larger.
FEWEST = 100
FOLDS = 5
# Standard errors by which the loss of held-out images must fall: benchmarks/diary.md has what other rules do.
LEAST_GAIN = 1.64
# The gain is measured on so many images, spread evenly, at most.
MOST_MEASURED = 10_000


class Calibration(NamedTuple):
    """The temperature to divide logits by; if it is 1 for a reason, `why_not` has it."""

    temperature: float
    why_not: str = ""


def calibrate(logits: torch.Tensor, labels: torch.Tensor) -> Calibration:
    """Return the fitted temperature, or 1 if there are too few images or held-out images gain nothing.

    `logits` is (n, classes), `labels` (n,).
    """
    n = len(labels)
    if not logits.isfinite().all():
        return Calibration(1.0, "the network's outputs are not finite")
    if n < FEWEST:
        return Calibration(1.0, f"too few photos ({n}) to calibrate, accepted: {FEWEST} or more")
    step = math.ceil(n / MOST_MEASURED)
    some, own = logits[::step], labels[::step]
    temperatures = _held_out_temperatures(some, own)
    losses = (
        torch.nn.functional.cross_entropy(one.double(), own, reduction="none") for one in (some, some / temperatures)
    )
    before, after = losses
    gain = before - after
    surely = gain.mean() > LEAST_GAIN * gain.std() / math.sqrt(len(own))
    if not surely or calibration_error(some, own, temperatures) >= calibration_error(some, own, 1.0):
        return Calibration(1.0, f"on held-out photos of these {n} a temperature made the error no smaller")
    return Calibration(fit_temperature(logits, labels))


def _held_out_temperatures(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return for each image the temperature that fits the images of the other folds (n, 1)."""
    folds, temperatures = torch.arange(len(labels)) % FOLDS, torch.ones(len(labels), 1)
    for fold in range(FOLDS):
        others = folds != fold
        temperatures[~others] = fit_temperature(logits[others], labels[others])
    return temperatures


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


def calibration_error(logits: torch.Tensor, labels: torch.Tensor, temperature: float | torch.Tensor) -> float:
    """Return the expected calibration error, from 0 to 1; nan if any logit is not finite.

    It is the mean gap between confidence and accuracy in BINS bins of equal width, weighted by their images.
    `logits` is (n, classes), `labels` (n,); of several temperatures (n, 1) each image has its own.
    """
    if not logits.isfinite().all():
        return math.nan
    confidence, predicted = (logits / temperature).softmax(1).max(1)
    in_bin = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64)
    gaps.index_add_(0, in_bin, (predicted == labels).double() - confidence.double())
    return gaps.abs().sum().item() / len(labels)
