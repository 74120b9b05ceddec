"""The model artifact, which training writes and serving reads.

It is one flat folder: the weights (safetensors, under torchvision's names), what measures an image's unlikeness
(safetensors), the network as ONNX files, and a JSON file with everything needed to use them, and their SHA-256. None is
a pickle.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from classifier import files
from classifier.artifact_fields import FILES, UNLIKENESS, UNLIKENESS_FILE, WEIGHTS_FILE, check_fields
from classifier.errors import UserError
from classifier.json_text import shown
from classifier.layers import ARCHITECTURE, MEAN, STD
from classifier.unlikeness import Measure, Unlikeness
from classifier.weight_values import check_tensors, check_values
from classifier.words import printable

FORMAT_VERSION = 1
METADATA_FILE = "model.json"
# Ten times what an artifact of 10,000 classes has.
MOST_BYTES = 1 << 30
MOST_ACCURACY_LOST = 0.003
# A convolution's lowest and highest result.
Range = tuple[float, float]


@dataclass(frozen=True)
class Quantization:
    """The calibration for int8, measured on `images` validation images, and the accuracy lost on them (0 to 1).

    `ranges` maps each convolution's name to its lowest and highest result.
    """

    ranges: Mapping[str, Range]
    images: int
    accuracy_lost: float

    @property
    def loses_little(self) -> bool:
        """Whether int8 is the default on a processor."""
        return self.accuracy_lost < MOST_ACCURACY_LOST


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
    unlikeness: Unlikeness | None = None
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    architecture: str = ARCHITECTURE
    versions: Mapping[str, str] = field(default_factory=dict)  # of the packages that made it
    sha256: Mapping[str, str] = field(default_factory=dict)  # of the other files, in hexadecimal, by their names
    networks_key: str = ""  # the key below when the ONNX files were written
    format_version: int = FORMAT_VERSION

    @property
    def row_width(self) -> int:
        """How many values an engine returns for an image: the probabilities and, if it is measured, the unlikeness."""
        return len(self.classes) + (self.unlikeness is not None)

    @property
    def key(self) -> str:
        """A digest of what the ONNX files are made from."""
        eps, temperature = float(self.eps), float(self.temperature)  # other programs write 1.0 as 1
        mean, std = (tuple(map(float, values)) for values in (self.mean, self.std))
        values = self.image_size, len(self.classes), eps, mean, std, temperature
        ranges = self.quantization and sorted(self.quantization.ranges.items())
        parts = [*values, ranges, self.sha256.get(WEIGHTS_FILE)]
        if self.unlikeness:  # earlier artifacts have none, and keep their key
            parts += [float(self.unlikeness.limit_int8), self.sha256.get(UNLIKENESS_FILE)]
        return _digest(parts)

    @property
    def has_its_networks(self) -> bool:
        """Whether the ONNX files were made from these values: else they are stale."""
        return self.networks_key == self.key

    @property
    def is_as_measured(self) -> bool:
        """Whether training wrote these values, as far as can be told: else what int8 was found to lose is stale.

        Artifacts from before they had ONNX files do not tell.
        """
        return not self.networks_key or self.has_its_networks

    @property
    def digest(self) -> str:
        """A digest of all that model.json says, also the other files' SHA-256."""
        return _digest([dataclasses.asdict(self)])

    @property
    def answers_key(self) -> str:
        """A digest of all that decides an answer: what the networks are made from, and the classes in their order."""
        return _digest([self.key, self.classes])


def _digest(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


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
    found = ", ".join(printable(path.name) for path in entries[:10]) or "nothing"
    raise UserError(f"no model artifact in {folder}: expected {METADATA_FILE} and {WEIGHTS_FILE}, found {found}")


def read(folder: Path) -> Artifact:
    """Read the metadata in `folder`, and check the other files' SHA-256, and the weights' names, shapes and values.

    Raises UserError if the artifact is missing, damaged, mismatched or newer than this image.
    """
    path = folder / METADATA_FILE
    try:
        values = files.read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    try:
        artifact = _parse(values, path)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    with _explained(folder / WEIGHTS_FILE):
        check_tensors(folder / WEIGHTS_FILE, len(artifact.classes), METADATA_FILE)
    read_weights(folder, artifact)
    read_measure(folder, artifact)
    for name in artifact.sha256.keys() - {WEIGHTS_FILE, UNLIKENESS_FILE}:
        read_file(folder, artifact, name)
    return artifact


def read_file(folder: Path, artifact: Artifact, name: str) -> bytes:
    """Return the contents of the file `name`. Raises UserError if their SHA-256 is not that in the metadata."""
    path = folder / name
    with _explained(path):
        files.check_regular(path)
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} has more than {MOST_BYTES:,} bytes; accepted: up to that many")
        data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if artifact.sha256.get(name, sha256) != sha256:
        sentence = f"its SHA-256 is {sha256}; expected: {artifact.sha256[name]}"
        raise UserError(f"{path} is not the file that its {METADATA_FILE} was written with: {sentence}")
    return data


def read_weights(folder: Path, artifact: Artifact) -> dict[str, np.ndarray]:
    """Return the weights in `folder`, under torchvision's names for ResNet18.

    Raises UserError if the file is another than that of `artifact`, or a value is not finite.
    """
    weights = safetensors.numpy.load(read_file(folder, artifact, WEIGHTS_FILE))
    check_values(weights, str(folder / WEIGHTS_FILE))
    return weights


def read_measure(folder: Path, artifact: Artifact) -> Measure | None:
    """Return what measures the unlikeness of an image; None if the artifact has none. Raises UserError as read()."""
    if artifact.unlikeness is None:
        return None
    path = folder / UNLIKENESS_FILE
    with _explained(path):
        return Measure.of_file(read_file(folder, artifact, UNLIKENESS_FILE), str(path))


def _parse(values: dict[str, Any], path: Path) -> Artifact:
    """Return the Artifact of this JSON object, without the fields that only a later version knows.

    Raises UserError if it is another version's or architecture's, and ValueError if a field is missing or invalid.
    """
    for name, accepted in (("format_version", FORMAT_VERSION), ("architecture", ARCHITECTURE)):
        if name not in values:
            raise ValueError(f"{name} is missing; accepted: {accepted!r}")
        if type(values[name]) is not type(accepted) or values[name] != accepted:
            raise UserError(f"{path} has {name} {shown(values[name])}; accepted by this image: {accepted!r}")
    check_fields(values)
    if sha256 := values.get("weights_sha256"):  # in earlier artifacts, which had one file
        values["sha256"] = {WEIGHTS_FILE: sha256}
    values["sha256"] = {name: sha256 for name, sha256 in values.get("sha256", {}).items() if name in FILES}
    known = {field.name for field in dataclasses.fields(Artifact)}
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
    }
    if (measured := fields.get("quantization")) is not None:
        ranges = {name: (float(low), float(high)) for name, (low, high) in measured["ranges"].items()}
        fields["quantization"] = Quantization(ranges, measured["images"], float(measured["accuracy_lost"]))
    if (measured := fields.get("unlikeness")) is not None:
        fields["unlikeness"] = Unlikeness(**{name: measured[name] for name in UNLIKENESS})
    return Artifact(**fields)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is damaged or truncated: {error}") from error
