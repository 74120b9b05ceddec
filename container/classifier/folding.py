"""Folds a batch normalisation into the convolution before it, for inference."""

from collections.abc import Mapping

import numpy as np

from classifier.layers import Convolution


def fold(weights: Mapping[str, np.ndarray], layer: Convolution, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 weight and bias of a convolution that does what `layer` and its normalisation do."""
    gamma, beta, mean, variance = (
        weights[f"{layer.norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gamma / np.sqrt(variance + eps)
    weight = weights[f"{layer.weight}.weight"] * factor[:, None, None, None]
    return weight.astype(np.float32), (beta - mean * factor).astype(np.float32)
