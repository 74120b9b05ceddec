"""The weights that a job is given to start from: found, and checked as far as that goes without torch.

So what is wrong with a channel is said at once; only the tensors of a file of torch.save need torch to be looked at.
"""

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors

from classifier import artifact
from classifier.errors import UserError
from classifier.formats.others import HEAD_BYTES, kind_of
from classifier.layers import ARCHITECTURE
from classifier.training import imagenet
from classifier.training.archive import MOST_BYTES, find_archive, unpack
from classifier.training.hyperparameters import Hyperparameters
from classifier.weight_values import check_magnitude
from classifier.words import plural

SAFETENSORS = ".safetensors"
SUFFIXES = (".pth", ".pt", SAFETENSORS)
WRITTEN = "tensors by name, as torch.save(model.state_dict(), FILE) writes them"
# How files of torch.save begin: a zip archive or, as older versions wrote them, a pickle, which torch alone can check.
ZIP, PICKLE = b"PK", b"\x80"


@dataclass(frozen=True)
class GivenFile:
    """A file of tensors, and what it is called in a sentence."""

    origin: str
    path: Path


@dataclass(frozen=True)
class GivenArtifact:
    """The weights of an earlier artifact, under torchvision's names, and its classes."""

    origin: str
    weights: Mapping[str, np.ndarray]
    classes: tuple[str, ...]


def find_weights(
    hp: Hyperparameters, channels: Mapping[str, Path], imagenet_folder: Path = imagenet.FOLDER
) -> GivenFile | GivenArtifact | None:
    """Return the weights that `hp` and `channels` ask for; None for a random start, which only weights=none gives.

    Raises UserError if they are missing or damaged, or if two sources are given.
    """
    if "model" in channels and "pretrained" in channels:
        raise UserError("channels 'model' and 'pretrained' both give weights to start from; accepted: one of them")
    given = next((name for name in ("model", "pretrained") if name in channels), None)
    if given and hp.weights == "none":
        raise UserError(
            f"weights=none asks for a random start, but there is a channel {given!r}; accepted: one of them"
        )
    if given == "model":
        return _read_artifact(channels["model"])
    if given == "pretrained":
        path = _only_file(channels["pretrained"])
        return _checked(GivenFile(f"channel pretrained ({path.name})", path))
    if hp.weights == "none":
        return None
    path = imagenet.checked_file(imagenet_folder)
    return _checked(GivenFile(f"ImageNet ({path.name})", path))


def unreadable(path: Path, why: str) -> UserError:
    """Return the error of a file whose tensors cannot be read."""
    return UserError(f"{path} is not a readable file of weights: {why}; accepted: {WRITTEN}")


def _read_artifact(channel: Path) -> GivenArtifact:
    archive = find_archive(channel)
    if archive is None:
        return _from_folder(artifact.locate(channel))
    with tempfile.TemporaryDirectory() as scratch:  # SageMaker passes an earlier job's artifact as an archive
        folder = Path(scratch)
        unpack(archive, folder)
        try:
            return _from_folder(folder)
        except UserError as error:
            raise UserError(str(error).replace(scratch, str(archive))) from error


def _from_folder(folder: Path) -> GivenArtifact:
    about = artifact.read(folder)
    weights = artifact.read_weights(folder, about)
    check_magnitude(weights, "channel model")
    return GivenArtifact("channel model", weights, about.classes)


def _only_file(folder: Path) -> Path:
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    paths = [path for path in entries if path.is_file() and path.suffix.lower() in SUFFIXES]
    if len(paths) != 1:
        kinds = {path: " (a folder)" if path.is_dir() else "" for path in (paths or entries)[:10]}
        names = ", ".join(f"{path.name!r}{kind}" for path, kind in kinds.items()) or "no file"
        accepted = "one .pth, .pt or .safetensors file; rename a .bin, .ckpt or .pth.tar file that torch.save wrote"
        raise UserError(f"channel 'pretrained' has {names}; accepted: {accepted}")
    return paths[0]


def _checked(given: GivenFile) -> GivenFile:
    """Return the file. Raises UserError, in our words, if its packing is damaged, or if it is something else."""
    path = given.path
    _check_size(path, path.stat().st_size)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind = kind_of(head)
    why = f"it is {kind}" if kind else "it is damaged, or something else"
    if path.suffix.lower() == SAFETENSORS:
        try:
            with safetensors.safe_open(path, framework="numpy"):
                return given
        except safetensors.SafetensorError as error:
            raise unreadable(path, why if kind else f"it is damaged ({error})") from error
    if head.startswith(ZIP):
        why = _fault_of_zip(path)
    elif head.startswith(PICKLE):
        why = ""
    if why:
        raise unreadable(path, why)
    return given


def _fault_of_zip(path: Path) -> str:
    """Return what is wrong with a zip archive of torch.save, whose checksums torch does not look at; "" if nothing."""
    try:
        with zipfile.ZipFile(path) as packed:
            _check_size(path, sum(member.file_size for member in packed.infolist()))
            if damaged := packed.testzip():
                return f"it is damaged ({damaged})"
            names = {name.rpartition("/")[2] for name in packed.namelist()}
    except UserError:
        raise
    except Exception as error:  # damaged bytes make zipfile, and what unpacks for it, raise almost anything
        return f"it is damaged ({error})"
    if "constants.pkl" in names:
        return "it is a TorchScript program"
    return "" if "data.pkl" in names else "it is a zip archive of something else"


def _check_size(path: Path, size: int) -> None:
    """Raise UserError if reading so much would take more memory and time than weights of ResNet18 are worth."""
    if size > MOST_BYTES:
        raise UserError(
            f"{path} has {plural(size, 'byte')}; accepted: up to {MOST_BYTES:,}, and {ARCHITECTURE} has 47 million"
        )
