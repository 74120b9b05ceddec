"""How unlike the images of its training's validation an image is to the network: above 1 it is an unknown one.

It is the Mahalanobis distance of the image's last features, averaged over all places, from those of the validation
images; in other words a linear layer and the length of its result. Square roots are taken first, since features behind
a ReLU are lopsided. See Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
Adversarial Attacks", 2018; benchmarks/diary.md has the other scores that were measured.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import safetensors.numpy

from classifier.errors import UserError
from classifier.layers import FEATURES


@dataclass(frozen=True)
class Unlikeness:
    """What an artifact says of its Measure: a `share` (0 to 1) of `images` validation images are known, up to 1.

    int8 makes it larger, so that it is divided by `limit_int8` there.
    """

    share: float
    images: int
    limit_int8: float = 1.0


class Measure(NamedTuple):
    """Makes an unlikeness of features f: the length of (sqrt(f) - mean) weight. Both are float32."""

    mean: np.ndarray  # (FEATURES,)
    weight: np.ndarray  # (FEATURES, FEATURES)

    def of(self, features: np.ndarray) -> np.ndarray:
        """Return the unlikeness (n,) of `features` (n, FEATURES), as every engine computes it."""
        return np.linalg.norm((np.sqrt(features) - self.mean) @ self.weight, axis=1)

    def with_limit(self, limit: float) -> "Measure":
        """Return the Measure whose 1 is this one's `limit`."""
        return Measure(self.mean, self.weight / np.float32(limit))

    def as_file(self) -> bytes:
        """Return the contents of a safetensors file."""
        # Which writes an array's memory as it is, also if that is in columns.
        return safetensors.numpy.save({name: np.ascontiguousarray(part) for name, part in self._asdict().items()})

    @classmethod
    def of_file(cls, data: bytes, origin: str) -> Self:
        """Return what as_file() wrote.

        Raises SafetensorError, and UserError, which names `origin` and the tensor, if the file has others.
        """
        tensors = safetensors.numpy.load(data)
        shapes = {"mean": (FEATURES,), "weight": (FEATURES, FEATURES)}
        for name in sorted(tensors.keys() | shapes.keys()):
            found = tensors.get(name)
            if found is None or found.shape != shapes.get(name) or found.dtype != np.float32:
                what = "missing" if found is None else f"{found.dtype} of shape {found.shape}"
                accepted = f"float32 of shape {shapes[name]}" if name in shapes else "no such tensor"
                raise UserError(f"{origin}: {name!r} is {what}; accepted: {accepted}")
            if not np.isfinite(found).all():
                raise UserError(f"{origin}: {name!r} has values that are not finite (NaN or infinity) in float32")
        return cls(**tensors)


def split_row(row: np.ndarray, classes: int) -> tuple[np.ndarray, bool | None]:
    """Return the probabilities in an engine's row for an image, and whether the image is known.

    `row` has the probabilities of so many `classes` and then, if the artifact has a Measure, the unlikeness; without
    one nothing is said, and None returned.
    """
    return row[:classes], bool(row[classes] <= 1) if len(row) > classes else None
