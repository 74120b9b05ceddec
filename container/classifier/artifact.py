"""The model artifact, which training writes and serving reads.

It is two files in one flat folder: the weights (safetensors, on the CPU, under torchvision's names) and a JSON file
with everything needed to use them. Neither is a pickle.
"""

import dataclasses
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy
import PIL
import safetensors
import safetensors.torch
import torch

from classifier import network
from classifier.errors import UserError

FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
METADATA_FILE = "model.json"
VERSIONS = {
    "python": platform.python_version(),
    "torch": torch.__version__,
    "torchvision": metadata.version("torchvision"),
    "pillow": PIL.__version__,
    "numpy": numpy.__version__,
}


@dataclass(frozen=True)
class Quantization:
    """The calibration for int8, measured on `images` validation images, and the accuracy lost on them (0 to 1).

    `ranges` maps each convolution's name to its lowest and highest result.
    """

    ranges: Mapping[str, tuple[float, float]]
    images: int
    accuracy_lost: float


@dataclass(frozen=True)
class Artifact:
    """Everything that serving needs besides the weights; `classes` are in the order of the network's outputs."""

    classes: tuple[str, ...]
    image_size: int
    eps: float
    temperature: float = 1.0  # logits are divided by it, so that the probabilities are calibrated
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    quantization: Quantization | None = None
    mean: tuple[float, ...] = network.MEAN
    std: tuple[float, ...] = network.STD
    architecture: str = network.ARCHITECTURE
    versions: Mapping[str, str] = field(default_factory=VERSIONS.copy)
    format_version: int = FORMAT_VERSION

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
        """Write weights and metadata to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        _write_file(folder / WEIGHTS_FILE, safetensors.torch.save(weights))
        self.save_metadata(folder)

    def save_metadata(self, folder: Path) -> None:
        """Write only the metadata to `folder`, which has the weights already."""
        about = json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"
        _write_file(folder / METADATA_FILE, about.encode())


def locate(folder: Path) -> Path:
    """Return the folder that holds the artifact: `folder` or, for an archive packed one level too deep, one in it.

    Raises UserError if there is none, or more than one.
    """
    try:
        entries = sorted(folder.iterdir())
        holders = [path for path in (folder, *entries) if (path / METADATA_FILE).exists()]
    except OSError as error:
        raise UserError(f"no model artifact: {folder} cannot be read: {error.strerror}") from error
    if folder in holders or len(holders) == 1:
        return holders[0]
    found = ", ".join(path.name for path in entries[:10]) or "nothing"
    raise UserError(f"no model artifact in {folder}: expected {METADATA_FILE} and {WEIGHTS_FILE}, found {found}")


def read(folder: Path) -> Artifact:
    """Read the metadata in `folder` and check the weights' names and shapes against it, without loading them.

    Raises UserError if the artifact is missing, damaged, mismatched or newer than this image.
    """
    path = folder / METADATA_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
        if version != FORMAT_VERSION:
            raise UserError(f"{path} has format version {version!r}; accepted: {FORMAT_VERSION}, by this image")
        if values["architecture"] != network.ARCHITECTURE:
            raise UserError(f"{path} is for {values['architecture']!r}; accepted: {network.ARCHITECTURE!r}")
        artifact = _parse(values)
        expected = network.build_empty(len(artifact.classes), artifact.eps).state_dict()
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    _check_weights(folder / WEIGHTS_FILE, {name: list(tensor.shape) for name, tensor in expected.items()})
    return artifact


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights in `folder`, on the CPU, under torchvision's names for ResNet18."""
    return safetensors.torch.load_file(folder / WEIGHTS_FILE)


def _parse(values: dict[str, Any]) -> Artifact:
    """Return the Artifact of this JSON object, without the fields that only a later version knows.

    Raises ValueError, TypeError, KeyError or AttributeError if a field is missing or of a wrong kind.
    """
    known = {field.name for field in dataclasses.fields(Artifact)}
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
    }
    if (measured := fields.get("quantization")) is not None:
        ranges = {name: (float(low), float(high)) for name, (low, high) in measured["ranges"].items()}
        fields["quantization"] = Quantization(ranges, int(measured["images"]), float(measured["accuracy_lost"]))
    artifact = Artifact(**fields)
    _check_values(artifact)
    return artifact


def _check_values(artifact: Artifact) -> None:
    classes = artifact.classes
    if not isinstance(classes, tuple) or len(classes) < 2 or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"classes is {classes!r}; accepted: a list of at least 2 names")
    if type(artifact.image_size) is not int or artifact.image_size < 1:
        raise ValueError(f"image_size is {artifact.image_size!r}; accepted: a number of pixels")
    if type(artifact.eps) is not float or not artifact.eps > 0:
        raise ValueError(f"eps is {artifact.eps!r}; accepted: a number above 0")
    if type(artifact.temperature) is not float or not artifact.temperature > 0:
        raise ValueError(f"temperature is {artifact.temperature!r}; accepted: a number above 0")


def _check_weights(path: Path, expected: dict[str, list[int]]) -> None:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118, it is not a mapping
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or truncated: {error}") from error
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        shapes = f"{name} has shape {found.get(name)}; expected: {expected.get(name)}"
        raise UserError(f"{path} does not fit its {METADATA_FILE}: {shapes}")


def _write_file(path: Path, data: bytes) -> None:
    """Write to a temporary file, then rename it, so that readers never see part of it."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_bytes(data)
    temporary.replace(path)
