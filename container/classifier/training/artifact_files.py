"""Writes the model artifact: its files, and model.json, which describes them."""

import hashlib
import json
import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import safetensors.numpy
import torch

from classifier import files
from classifier.artifact import METADATA_FILE, Artifact
from classifier.artifact_fields import FILES, UNLIKENESS_FILE, WEIGHTS_FILE
from classifier.unlikeness import Measure

PACKAGES = ("torch", "torchvision", "onnx", "openvino", "pillow", "numpy")
VERSIONS = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def save_artifact(
    folder: Path, about: Artifact, weights: Mapping[str, torch.Tensor], measure: Measure | None = None
) -> None:
    """Write `weights`, `measure` and metadata to `folder`. Raises OSError, and then the files of before are there.

    Readers need the metadata, which are gone while the other files are replaced. A process that is killed at any point
    leaves the old artifact, the new one or none, and never one's weights with the other's metadata. The other files of
    before are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in weights.items()}
    contents = {WEIGHTS_FILE: safetensors.numpy.save(arrays)}
    if measure:
        contents[UNLIKENESS_FILE] = measure.as_file()
    contents[METADATA_FILE] = _as_json(_described(replace(about, sha256={}), contents))  # the last to be replaced
    with ExitStack() as stack:
        aside = {name: stack.enter_context(files.written_aside(folder / name, data)) for name, data in contents.items()}
        for name in (METADATA_FILE, *(FILES.keys() - contents.keys())):
            (folder / name).unlink(missing_ok=True)
        for name, new in aside.items():
            new.replace(folder / name)
    files.flush_folder(folder)


def add_networks(folder: Path, about: Artifact, networks: Mapping[str, bytes]) -> None:
    """Add ONNX files by their names, and then `about`, to the artifact in `folder`. Raises OSError."""
    for name, data in networks.items():
        files.write_file(folder / name, data)
    files.write_file(folder / METADATA_FILE, _as_json(_described(about, networks)))


def remove_partial_files(folder: Path) -> None:
    """Remove from `folder` what a process that was killed has left of a `save_artifact`."""
    for name in (METADATA_FILE, *FILES):
        files.partial_of(folder / name).unlink(missing_ok=True)


def _described(about: Artifact, contents: Mapping[str, bytes]) -> Artifact:
    sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    described = replace(about, versions=VERSIONS, sha256={**about.sha256, **sha256})
    return replace(described, networks_key=described.key)


def _as_json(about: Artifact) -> bytes:
    return (json.dumps(asdict(about), indent=2, ensure_ascii=False) + "\n").encode()
