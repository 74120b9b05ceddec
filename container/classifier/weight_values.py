"""Whether values can be those of weights: in an artifact, in a file to start from, in a network that was trained."""

from collections.abc import Mapping

import numpy as np

from classifier.errors import UserError

# Trained weights are below 100, and variances below a million. In float32 the squares of much larger ones are infinite.
LARGEST = 1e10


def check_values(weights: Mapping[str, np.ndarray], origin: str) -> None:
    """Raise UserError, which names `origin` and the tensor, if its values cannot be weights that a network has learnt.

    They are finite, variances are not negative, and those of a convolution or of the last layer differ, without which
    all images look the same. Of a normalisation they may be zeros, as at the start of some recipes.
    """
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise UserError(f"{origin}: {name!r} has values that are not finite (NaN or infinity) in float32")
        if name.endswith("running_var") and (values < 0).any():
            raise UserError(f"{origin}: {name!r} has negative values; accepted: variances, from 0")
        if values.ndim > 1 and values.min() == values.max():
            sentence = f"{name!r} is {values.flat[0]:g} everywhere"
            raise UserError(f"{origin}: {sentence}; accepted: the weights of a trained network, which differ")


def check_magnitude(weights: Mapping[str, np.ndarray], origin: str) -> None:
    """Raise UserError, which names `origin` and the tensor, if training could not start from values so large."""
    for name, values in weights.items():
        if (largest := np.abs(values).max()) > LARGEST:
            raise UserError(f"{origin}: {name!r} has values up to {largest:.1e}; accepted: up to {LARGEST:.0e}")
