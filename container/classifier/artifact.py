"""The model artifact, which training writes and serving reads.

It is two files in one flat folder: the weights (safetensors, on the CPU, under torchvision's names) and a JSON file
with everything needed to use them, and their SHA-256. Neither is a pickle.
"""

import dataclasses
import hashlib
import json
import platform
import reprlib
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

from classifier import files, network
from classifier.artifact_fields import check_fields
from classifier.errors import UserError
from classifier.weights import check_values

FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
METADATA_FILE = "model.json"
# safetensors' names.
STORED_AS = {torch.float32: "F32", torch.int64: "I64"}
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
    weights_sha256: str | None = None  # in hexadecimal; None in artifacts from before it was stored
    format_version: int = FORMAT_VERSION

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
        """Write weights and metadata to `folder`. Raises OSError, and then those of before are still there.

        Readers need the metadata, which are gone while the weights are replaced. A process that is killed at any point
        leaves the old artifact, the new one or none, and never one's weights with the other's metadata.
        """
        folder.mkdir(parents=True, exist_ok=True)
        data = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
        described = dataclasses.replace(self, weights_sha256=hashlib.sha256(data).hexdigest())
        weights_path, metadata_path = folder / WEIGHTS_FILE, folder / METADATA_FILE
        with (
            files.written_aside(weights_path, data) as new_weights,
            files.written_aside(metadata_path, described._as_json()) as new_metadata,
        ):
            metadata_path.unlink(missing_ok=True)
            new_weights.replace(weights_path)
            new_metadata.replace(metadata_path)
        files.flush_folder(folder)

    def save_metadata(self, folder: Path) -> None:
        """Write only the metadata to `folder`, which has the weights already."""
        files.write_file(folder / METADATA_FILE, self._as_json())

    def _as_json(self) -> bytes:
        return (json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n").encode()


def remove_partial_files(folder: Path) -> None:
    """Remove from `folder` what a process that was killed has left of a `save`."""
    for name in (WEIGHTS_FILE, METADATA_FILE):
        files.partial_of(folder / name).unlink(missing_ok=True)


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
    """Read the metadata in `folder`, and check the weights' names, shapes, types and SHA-256 against them.

    Raises UserError if the artifact is missing, damaged, mismatched or newer than this image.
    """
    path = folder / METADATA_FILE
    try:
        values = files.read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    try:
        artifact = _parse(values, path)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    _check_weights(folder / WEIGHTS_FILE, artifact)
    return artifact


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights in `folder`, on the CPU, under torchvision's names for ResNet18.

    Raises UserError if a value is not finite.
    """
    path = folder / WEIGHTS_FILE
    weights = safetensors.torch.load_file(path)
    check_values(weights, str(path))
    return weights


def _parse(values: dict[str, Any], path: Path) -> Artifact:
    """Return the Artifact of this JSON object, without the fields that only a later version knows.

    Raises UserError if it is another version's or architecture's, and ValueError if a field is missing or invalid.
    """
    for name, accepted in (("format_version", FORMAT_VERSION), ("architecture", network.ARCHITECTURE)):
        if name not in values:
            raise ValueError(f"{name} is missing; accepted: {accepted!r}")
        if type(values[name]) is not type(accepted) or values[name] != accepted:
            raise UserError(f"{path} has {name} {reprlib.repr(values[name])}; accepted by this image: {accepted!r}")
    check_fields(values)
    known = {field.name for field in dataclasses.fields(Artifact)}
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
    }
    if (measured := fields.get("quantization")) is not None:
        ranges = {name: (float(low), float(high)) for name, (low, high) in measured["ranges"].items()}
        fields["quantization"] = Quantization(ranges, measured["images"], float(measured["accuracy_lost"]))
    return Artifact(**fields)


def _check_weights(path: Path, artifact: Artifact) -> None:
    try:
        files.check_regular(path)
        with safetensors.safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is not a mapping
            found = {name: (one.get_dtype(), one.get_shape()) for name, one in slices.items()}
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or truncated: {error}") from error
    empty = network.build_empty(len(artifact.classes), artifact.eps).state_dict()
    expected = {name: (STORED_AS[tensor.dtype], list(tensor.shape)) for name, tensor in empty.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        sentence = f"{name!r} is {_words(found.get(name))}; expected: {_words(expected.get(name))}"
        raise UserError(f"{path} does not fit its {METADATA_FILE}: {sentence}")
    if artifact.weights_sha256 not in (None, sha256):
        sentence = f"its SHA-256 is {sha256}; expected: {artifact.weights_sha256}"
        raise UserError(f"{path} is not the file that its {METADATA_FILE} was written with: {sentence}")


def _words(tensor: tuple[str, list[int]] | None) -> str:
    return "missing" if tensor is None else f"{tensor[0]} of shape {tensor[1]}"
