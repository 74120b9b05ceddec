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

from classifier import files, onnx_network
from classifier.artifact import METADATA_FILE, Artifact
from classifier.artifact_fields import FILES, INT8_FILE, NETWORK_FILE, WEIGHTS_FILE

PACKAGES = ("torch", "torchvision", "onnx", "openvino", "pillow", "numpy")
VERSIONS = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def save_artifact(folder: Path, about: Artifact, weights: Mapping[str, torch.Tensor]) -> None:
    """Write `weights` and the network to `folder`. Raises OSError, and then the files of before are still there.

    Readers need the metadata, which are gone while the other files are replaced. A process that is killed at any point
    leaves the old artifact, the new one or none, and never one's weights with the other's metadata.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in weights.items()}
    contents = {WEIGHTS_FILE: safetensors.numpy.save(arrays), NETWORK_FILE: onnx_network.build(about, arrays)}
    described = _described(replace(about, sha256={}), contents)
    with ExitStack() as stack:
        new = {name: stack.enter_context(files.written_aside(folder / name, data)) for name, data in contents.items()}
        new_metadata = stack.enter_context(files.written_aside(folder / METADATA_FILE, _as_json(described)))
        (folder / METADATA_FILE).unlink(missing_ok=True)
        for name in FILES:
            new[name].replace(folder / name) if name in new else (folder / name).unlink(missing_ok=True)
        new_metadata.replace(folder / METADATA_FILE)
    files.flush_folder(folder)


def save_int8(folder: Path, about: Artifact, network: bytes | None) -> None:
    """Add `about.quantization` and, if there is one, the int8 `network` to the artifact in `folder`. Raises OSError."""
    contents = {INT8_FILE: network} if network else {}
    for name, data in contents.items():
        files.write_file(folder / name, data)
    files.write_file(folder / METADATA_FILE, _as_json(_described(about, contents)))


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
