"""What serving needs to say that an image is unknown, fitted on the validation images: see classifier.unlikeness."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from classifier.unlikeness import Measure

# Of the validation images as many are known. With 99 % and some 200 images the limit is that of the oddest one.
SHARE = 0.95
# The limit that fewer images give is too uncertain: with 100 the true share is 90 to 98 %, 19 times in 20.
FEWEST = 100
# The features of so many images, spread evenly, are kept at most.
MOST = 2_000
# Of the mean variance, added to that of each direction: fewer images than features say nothing of most directions.
RIDGE = 0.3


@dataclass(frozen=True)
class Familiarity:
    """A measure of unlikeness, if there are enough images to fit one, and how many of a phase's `images` are known."""

    measure: Measure | None = None
    known: int = 0
    images: int = 0
    why_not: str = ""

    @property
    def share(self) -> float:
        return self.known / self.images


def fit(features: torch.Tensor) -> Familiarity:
    """Return a measure by which SHARE of these images are known, each of them judged by the others.

    `features` is float32 (n, f), not negative.
    """
    n = len(features)
    if n < FEWEST:
        return Familiarity(
            why_not=f"too few photos ({n}) to say which others are unlike them, accepted: {FEWEST} or more"
        )
    if not features.isfinite().all():
        return Familiarity(why_not="the network's features are not finite")
    roots = features.double().sqrt()  # of float32 the sums of squares can be infinite
    mean = roots.mean(0)
    centred = roots - mean
    covariance = centred.T @ centred / n
    variance, rounding = covariance.diagonal().mean(), torch.finfo(torch.float32).eps
    if variance < rounding:  # or the limit would be that of each engine's rounding errors
        return Familiarity(why_not="the validation images are all alike")
    ridge = RIDGE * variance + rounding
    inverse = torch.linalg.inv(covariance + ridge * torch.eye(len(mean), dtype=torch.float64))
    weight = torch.linalg.cholesky(inverse)
    distances = held_out((centred @ weight).square().sum(1))
    limit = limit_of(distances.numpy())
    measure = Measure(mean.float().numpy(), weight.float().numpy()).with_limit(limit)
    return Familiarity(measure, int((distances <= limit).sum()), n)


def judge(features: torch.Tensor, fitted: Familiarity) -> Familiarity:
    """Return how many of the images with `features` (n, f) are known by the measure of `fitted`, if it has one."""
    if fitted.measure is None:
        return fitted
    known = fitted.measure.of(features.numpy()) <= 1
    return Familiarity(fitted.measure, int(known.sum()), len(known))


def held_out(squares: torch.Tensor) -> torch.Tensor:
    """Return each image's distance from the others (n,), for the `squares` of its distances from all n.

    Without the image mean and covariance are others: by Sherman and Morrison's formula those need not be computed.
    """
    n = len(squares)
    return n / (n - 1) * (squares / (1 - squares / (n - 1))).sqrt()


def limit_of(values: np.ndarray) -> float:
    """Return the value that a new image of the same kind is below with a probability of SHARE."""
    rank = min(len(values), math.ceil((len(values) + 1) * SHARE))
    return float(np.partition(values, rank - 1)[rank - 1])
