"""The model to train: the weights it starts from, its new head, and which of its layers learn."""

import logging
import re
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from classifier import artifact, files, network
from classifier.errors import UserError
from classifier.formats.others import HEAD_BYTES, text_of
from classifier.layers import ARCHITECTURE, HEAD, PARTS
from classifier.network import ResNet18
from classifier.training import imagenet
from classifier.training.archive import MOST_BYTES, unpack
from classifier.training.hyperparameters import Hyperparameters
from classifier.weights import check_magnitude, read_backbone
from classifier.words import plural

logger = logging.getLogger(__name__)
SUFFIXES = (".pth", ".pt", ".safetensors")
WRITTEN = "tensors by name, as torch.save(model.state_dict(), FILE) writes them"


@dataclass(frozen=True)
class StartingPoint:
    """Weights to start from, under torchvision's names, and their `origin`; the `classes` of their head, if known."""

    origin: str
    weights: Mapping[str, torch.Tensor]
    classes: tuple[str, ...] | None = None


def starting_point(
    hp: Hyperparameters, channels: Mapping[str, Path], imagenet_folder: Path = imagenet.FOLDER
) -> StartingPoint | None:
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
        return _from_artifact(channels["model"])
    if given == "pretrained":
        path = _only_file(channels["pretrained"])
        return _from_file(path, f"channel pretrained ({path.name})")
    if hp.weights == "none":
        return None
    path = imagenet.checked_file(imagenet_folder)
    return _from_file(path, f"ImageNet ({path.name})")


def make_model(classes: tuple[str, ...], hp: Hyperparameters, start: StartingPoint | None) -> ResNet18:
    """Return a network for `classes`, with the parts frozen that hp.trainable excludes.

    Its weights are those of `start`, including the head only if `start` has the same classes in the same order.
    """
    model = network.build(len(classes), hp.eps)
    if start:
        keep_head = start.classes == classes
        weights = {name: tensor for name, tensor in start.weights.items() if keep_head or not name.startswith(HEAD)}
        model.load_state_dict(weights, strict=False)  # a new head stays, and torchvision's file has no counters
        logger.info("weights from %s; %s", start.origin, "its head too" if keep_head else "a new head")
    else:
        logger.info("weights=none: a random start")
    for part in frozen_parts(model, hp.trainable):
        part.requires_grad_(False)
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing in torch's overloads


def frozen_parts(model: ResNet18, trainable: str) -> list[torch.nn.Module]:
    """Return the parts before the one that `trainable` names."""
    first = {"all": PARTS[0], "head": HEAD}.get(trainable, trainable)
    return [getattr(model, name) for name in PARTS[: PARTS.index(first)]]


class Head(torch.nn.Module):
    """The last layer alone, under its name in the network: features (n, 512) to logits (n, classes)."""

    def __init__(self, model: ResNet18):
        super().__init__()
        self.fc = model.fc

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.fc(features)


def split(model: ResNet18, trainable: str) -> tuple[torch.nn.Module | None, ResNet18 | Head]:
    """Return the frozen backbone, which each image passes once, and the network to train; they share `model`'s layers.

    Only with trainable=head is there a backbone.
    """
    if trainable != "head":
        return None, model
    before = [module for name, module in model.named_children() if name != HEAD]
    return torch.nn.Sequential(*before, torch.nn.Flatten()), Head(model)


def set_training_mode(model: ResNet18, trainable: str) -> None:
    """Call model.train(), but leave frozen parts in evaluation mode, so that their running statistics stay the same."""
    model.train()
    for part in frozen_parts(model, trainable):
        part.eval()


def _from_artifact(channel: Path) -> StartingPoint:
    archive = channel / "model.tar.gz"
    try:
        files.check_regular(archive)
    except FileNotFoundError:
        return _from_folder(artifact.locate(channel))
    with tempfile.TemporaryDirectory() as scratch:  # SageMaker passes an earlier job's artifact as an archive
        folder = Path(scratch)
        unpack(archive, folder)
        try:
            return _from_folder(folder)
        except UserError as error:
            raise UserError(str(error).replace(scratch, str(archive))) from error


def _from_folder(folder: Path) -> StartingPoint:
    about = artifact.read(folder)
    weights = network.as_tensors(artifact.read_weights(folder, about))
    check_magnitude(weights, "channel model")
    return StartingPoint("channel model", weights, about.classes)


def _only_file(folder: Path) -> Path:
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    paths = [path for path in entries if path.is_file() and path.suffix.lower() in SUFFIXES]
    if len(paths) != 1:
        names = ", ".join(repr(path.name) for path in (paths or entries)[:10]) or "no file"
        accepted = "one .pth, .pt or .safetensors file; rename a .bin, .ckpt or .pth.tar file that torch.save wrote"
        raise UserError(f"channel 'pretrained' has {names}; accepted: {accepted}")
    return paths[0]


def _from_file(path: Path, origin: str) -> StartingPoint:
    return StartingPoint(origin, read_backbone(_load(path), origin))


def _load(path: Path) -> object:
    """Return what the file at `path` holds. Raises UserError, in our words: torch's advise to switch off its check."""
    _check_size(path, path.stat().st_size)
    with path.open("rb") as file:
        kind = text_of(file.read(HEAD_BYTES))
    why = f"it is {kind}" if kind else "it is damaged, or something else"
    try:
        if path.suffix.lower() == ".safetensors":
            return safetensors.torch.load_file(path)
        if zipfile.is_zipfile(path):  # whose checksums torch does not look at
            with zipfile.ZipFile(path) as packed:
                _check_size(path, sum(member.file_size for member in packed.infolist()))
                if damaged := packed.testzip():
                    raise zipfile.BadZipFile(damaged)
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except safetensors.SafetensorError as error:
        why = why if kind else f"it is damaged ({error})"
    except zipfile.BadZipFile as error:
        why = f"it is damaged ({error})"
    except Exception as error:  # damaged bytes make torch raise almost anything
        if found := re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error)):
            why = f"it holds {found[1]}, such as a whole model does, which would run code"
        elif "TorchScript" in str(error):
            why = "it is a TorchScript program"
    raise UserError(f"{path} is not a readable file of weights: {why}; accepted: {WRITTEN}")


def _check_size(path: Path, size: int) -> None:
    """Raise UserError if reading so much would take more memory and time than weights of ResNet18 are worth."""
    if size > MOST_BYTES:
        raise UserError(
            f"{path} has {plural(size, 'byte')}; accepted: up to {MOST_BYTES:,}, and {ARCHITECTURE} has 47 million"
        )
