"""The model to train: where its weights come from, its new head, and which of its layers learn."""

import hashlib
import logging
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from classifier import artifact, network
from classifier.errors import UserError
from classifier.training.hyperparameters import STAGES, Hyperparameters

logger = logging.getLogger(__name__)
# The image build fills this folder; it lies beside the package, never under /opt/ml.
WEIGHTS_FOLDER = Path(__file__).parents[2] / "weights"
IMAGENET_FILE = "resnet18.pth"
HEAD = "fc"
# From input to output: `trainable` names one of these, and everything after it learns too.
PARTS = ("conv1", "bn1", *STAGES, HEAD)


@dataclass(frozen=True)
class StartingPoint:
    """Weights to start from, under torchvision's names, and where they came from; `classes` of their head, if kept."""

    origin: str
    weights: Mapping[str, torch.Tensor]
    classes: tuple[str, ...] | None = None


def starting_point(
    hp: Hyperparameters, channels: Mapping[str, Path], imagenet: Path = WEIGHTS_FOLDER
) -> StartingPoint | None:
    """The weights that `hp` and `channels` ask for; None for a random start, which only weights=none gives.

    Raises UserError where they are not to be had, are damaged, or are asked for twice.
    """
    if "model" in channels and "pretrained" in channels:
        raise UserError("channels 'model' and 'pretrained' both give weights to start from; accepted: one of them")
    if "model" in channels:
        return _from_artifact(channels["model"])
    if "pretrained" in channels:
        if hp.weights == "none":
            raise UserError("weights=none asks for a random start, but there is a channel 'pretrained'; remove one")
        return _from_file(_only_file(channels["pretrained"]))
    if hp.weights == "none":
        return None
    return _from_imagenet(imagenet)


def make_model(classes: tuple[str, ...], hp: Hyperparameters, start: StartingPoint | None) -> torch.nn.Module:
    """ResNet18 for `classes`: weights from `start`, its head only where it has the same classes, frozen as hp says."""
    model = network.build(len(classes), hp.eps)
    if start:
        keep_head = start.classes == classes
        weights = {name: tensor for name, tensor in start.weights.items() if keep_head or not name.startswith(HEAD)}
        _load(model, weights, start.origin)
        logger.info("weights from %s; %s", start.origin, "its head too" if keep_head else "a new head")
    else:
        logger.info("weights=none: a random start")
    for part in frozen_parts(model, hp.trainable):
        part.requires_grad_(False)
    return model.to(memory_format=torch.channels_last)


def frozen_parts(model: torch.nn.Module, trainable: str) -> list[torch.nn.Module]:
    """The parts before the one that `trainable` names."""
    first = {"all": PARTS[0], "head": HEAD}.get(trainable, trainable)
    return [getattr(model, name) for name in PARTS[: PARTS.index(first)]]


def training_mode(model: torch.nn.Module, trainable: str) -> None:
    """Like model.train(), but a frozen part keeps its batch normalisation statistics too."""
    model.train()
    for part in frozen_parts(model, trainable):
        part.eval()


def _load(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], origin: str) -> None:
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for name, shape in expected.items():
        counter = name.endswith("num_batches_tracked")  # absent from torchvision's own file
        if name not in weights and not name.startswith(HEAD) and not counter:
            raise UserError(f"{origin} lacks {name}; accepted: the weights of {network.ARCHITECTURE}")
        if name in weights and weights[name].shape != shape:
            found = tuple(weights[name].shape)
            raise UserError(f"{origin} has {name} of shape {found}; accepted: {tuple(shape)}")
    model.load_state_dict(weights, strict=False)


def _from_artifact(folder: Path) -> StartingPoint:
    with tempfile.TemporaryDirectory() as scratch:
        archive = folder / "model.tar.gz"
        if archive.exists():  # SageMaker passes an earlier job's artifact as it stored it
            try:
                with tarfile.open(archive) as file:
                    file.extractall(scratch, filter="data")
            except (tarfile.TarError, OSError, EOFError) as error:
                raise UserError(f"{archive} cannot be unpacked: {error}") from error
            folder = Path(scratch)
        folder = artifact.locate(folder)
        return StartingPoint("channel model", artifact.load_weights(folder), artifact.read(folder).classes)


def _from_imagenet(folder: Path) -> StartingPoint:
    path = folder / IMAGENET_FILE
    checksum = path.with_name(f"{path.name}.sha256")
    if not path.exists() or not checksum.exists():
        raise UserError(
            "weights=imagenet, but this image was built without ImageNet's weights; accepted: an image built with "
            "them, a channel 'pretrained' with a torchvision ResNet18 file, or weights=none"
        )
    expected = checksum.read_text().split()[0]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise UserError(f"{path} has SHA-256 {found}; expected: {expected}, as {checksum.name} says")
    return _from_file(path, origin=f"ImageNet ({path.name}, SHA-256 {found[:8]})")


def _only_file(folder: Path) -> Path:
    files = sorted(path for path in folder.iterdir() if path.suffix in (".pth", ".pt", ".safetensors"))
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise UserError(f"channel 'pretrained' has {names}; accepted: one .pth, .pt or .safetensors file")
    return files[0]


def _from_file(path: Path, origin: str | None = None) -> StartingPoint:
    try:
        if path.suffix == ".safetensors":
            weights = safetensors.torch.load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the two loaders raise whatever damaged bytes lead them to
        raise UserError(f"{path} is no readable file of weights: {type(error).__name__}: {error}") from error
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise UserError(
            f"{path} holds no state dict; accepted: names to tensors, as torchvision stores {IMAGENET_FILE}"
        )
    return StartingPoint(origin or f"channel pretrained ({path.name})", weights)
