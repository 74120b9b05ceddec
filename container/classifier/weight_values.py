"""Whether tensors can be weights: in an artifact, in a file to start from, in a network that was trained; no torch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors

from classifier import files
from classifier.errors import UserError
from classifier.layers import CONVOLUTIONS, COUNTER, STEM, list_shapes

# Trained weights are below 100, and variances below a million. In float32 the squares of much larger ones are infinite.
LARGEST = 1e10
FIRST_VARIANCES = f"{CONVOLUTIONS[STEM].norm}.running_var"


def check_values(weights: Mapping[str, np.ndarray], origin: str) -> None:
    """Raise UserError, which names `origin` and the tensor, if its values cannot be weights that a network has learnt.

    They are finite, variances are not negative, and those of a convolution or of the last layer differ, without which
    all images look the same. Of a normalisation they may be zeros, as at the start of some recipes; its variances too,
    behind a dead layer, but for the first: what it has seen are images.
    """
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise UserError(f"{origin}: {name!r} has values that are not finite (NaN or infinity) in float32")
        if name.endswith("running_var") and (values < 0).any():
            raise UserError(f"{origin}: {name!r} has negative values; accepted: variances, from 0")
        if name == FIRST_VARIANCES and not values.any():
            raise UserError(f"{origin}: {name!r} is 0 everywhere; accepted: the variances of images, which differ")
        if values.ndim > 1 and values.min() == values.max():
            sentence = f"{name!r} is {values.flat[0]:g} everywhere"
            raise UserError(f"{origin}: {sentence}; accepted: the weights of a trained network, which differ")


def check_magnitude(weights: Mapping[str, np.ndarray], origin: str) -> None:
    """Raise UserError, which names `origin` and the tensor, if training could not start from values so large."""
    for name, values in weights.items():
        if (largest := np.abs(values).max()) > LARGEST:
            raise UserError(f"{origin}: {name!r} has values up to {largest:.1e}; accepted: up to {LARGEST:.0e}")


def check_tensors(path: Path, classes: int, metadata: str) -> None:
    """Raise UserError if the file does not have the tensors of a network of so many classes, as `metadata` says.

    Raises OSError and SafetensorError if it cannot be read.
    """
    files.check_regular(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is not a mapping
        found = {name: (one.get_dtype(), one.get_shape()) for name, one in slices.items()}
    shapes = list_shapes(classes).items()
    # By safetensors' names of types.
    expected = {name: ("I64" if name.endswith(COUNTER) else "F32", list(shape)) for name, shape in shapes}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        sentence = f"{name!r} is {_words(found.get(name))}; expected: {_words(expected.get(name))}"
        raise UserError(f"{path} does not fit its {metadata}: {sentence}")


def _words(tensor: tuple[str, list[int]] | None) -> str:
    return "missing" if tensor is None else f"{tensor[0]} of shape {tensor[1]}"
