"""Classes that model.json calls otherwise than model.onnx, which tells its names to other tools."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from classifier import artifact
from classifier.artifact import METADATA_FILE, Artifact
from classifier.artifact_fields import NETWORK_FILE
from classifier.words import printable

log = logging.getLogger(__name__)
MOST_SHOWN = 3
# Bytes that follow the names in the file.
MOST_BEHIND = 1000


def warn_of_renamed(folder: Path, about: Artifact) -> None:
    """Log the names of classes in model.json, which the server answers, that are others in model.onnx."""
    if NETWORK_FILE not in about.sha256:
        return
    # At the file's end, as training writes them: the whole is 45 MB.
    names, path = json.dumps(about.classes, ensure_ascii=False).encode(), folder / NETWORK_FILE
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(names) - MOST_BEHIND))
        if names in file.read():
            return
    if renamed := _renamed(about.classes, _names_in(artifact.read_file(folder, about, NETWORK_FILE))):
        more = f" and {len(renamed) - MOST_SHOWN:,} more" if len(renamed) > MOST_SHOWN else ""
        log.warning(
            "answers have the class names of %s, and %s still has others, which other tools show: %s%s",
            *(METADATA_FILE, NETWORK_FILE, printable(", ".join(renamed[:MOST_SHOWN])), more),
        )


def _renamed(classes: Sequence[str], before: Sequence[str]) -> list[str]:
    return [f"'{new}' is '{old}' there" for new, old in zip(classes, before, strict=False) if new != old]


def _names_in(network: bytes) -> list[str]:
    """Return the names of the classes in an ONNX file; none if it has none, or another program wrote it."""
    from google.protobuf.message import DecodeError  # with onnx, which takes a while to import

    from classifier import onnx_network

    try:
        names = json.loads(onnx_network.properties(network)["classes"])
    except (DecodeError, KeyError, ValueError):
        return []
    return names if isinstance(names, list) else []
