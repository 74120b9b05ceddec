"""answers.json: some of a job's images with training's own answers, which whatever serves the model gives too.

Training writes it, and launch/ sends its images. Without torch.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from classifier import files
from classifier.artifact_fields import are_classes, is_number, is_sha256
from classifier.errors import UserError

FILE = "answers.json"
FORMAT_VERSION = 1
# All images together, so that the job's output stays small.
MOST_BYTES = 4_000_000
MOST_IMAGES = 100
# Classes of an answer: more than a server is asked for.
CLASSES = 20
NOTHING_COMPARED = "without it nothing is compared"


class Sampled(NamedTuple):
    """An image's name and encoded bytes, and the probabilities of its CLASSES most probable classes, the best first."""

    file: str
    data: bytes
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Sample:
    """Images of one phase, and the answers of the model whose weights' file has this SHA-256.

    `classes` are all of its classes, and `answers_key` is the artifact's; earlier samples have neither.
    """

    model_sha256: str
    phase: str
    images: Sequence[Sampled]
    classes: Sequence[str] = ()
    answers_key: str = ""


def write(path: Path, sample: Sample) -> None:
    """Write the sample. Raises OSError."""
    images = [
        {
            "file": one.file,
            "sha256": hashlib.sha256(one.data).hexdigest(),
            "image": base64.b64encode(one.data).decode(),
            "probabilities": dict(one.probabilities),
        }
        for one in sample.images
    ]
    values = {"format_version": FORMAT_VERSION} | vars(sample) | {"images": images}
    files.write_file(path, json.dumps(values, ensure_ascii=False).encode())


def read(path: Path) -> Sample | None:
    """Return the sample; None if there is no such file. Raises UserError if it is damaged, or of a later version."""
    try:
        values = files.read_json(path)
    except FileNotFoundError:
        return None
    except UserError as error:
        raise UserError(f"{error}; {NOTHING_COMPARED}") from error
    try:
        if values.get("format_version") != FORMAT_VERSION:
            raise UserError(f"format_version is {values.get('format_version')!r}; accepted: {FORMAT_VERSION}")
        if not is_sha256(values["model_sha256"]) or not isinstance(values["phase"], str) or not values["images"]:
            raise ValueError
        classes, key = values.get("classes", []), values.get("answers_key", "")
        if (classes and not are_classes(classes)) or (key and not is_sha256(key)):
            raise ValueError
        images = [_sampled(one) for one in values["images"]]
        return Sample(values["model_sha256"], values["phase"], images, tuple(classes), key)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}; {NOTHING_COMPARED}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: it is not what training writes; {NOTHING_COMPARED}") from error


def _sampled(values: dict[str, Any]) -> Sampled:
    try:
        data = base64.b64decode(values["image"], validate=True)
    except binascii.Error as error:
        raise ValueError from error
    name, probabilities = values["file"], values["probabilities"]
    if not isinstance(name, str) or not probabilities:
        raise ValueError
    if not all(is_number(one, 0, 1) for one in probabilities.values()):
        raise ValueError
    if hashlib.sha256(data).hexdigest() != values["sha256"]:
        raise UserError(f"the SHA-256 of its image {name} is another than it says")
    return Sampled(name, data, probabilities)
