"""The model to train: the weights it starts from, its new head, and which of its layers learn."""

import logging
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from classifier import network
from classifier.layers import FEATURES, HEAD, PARTS, STEM
from classifier.network import ResNet18
from classifier.training.given_weights import SAFETENSORS, GivenArtifact, GivenFile, unreadable
from classifier.training.hyperparameters import Hyperparameters
from classifier.weights import read_backbone
from classifier.words import plural

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartingPoint:
    """Weights to start from, under torchvision's names, and their `origin`; the `classes` of their head, if known."""

    origin: str
    weights: Mapping[str, torch.Tensor]
    classes: tuple[str, ...] | None = None


def starting_point(given: GivenFile | GivenArtifact | None) -> StartingPoint | None:
    """Return the weights that are given; None for a random start. Raises UserError if they are not ResNet18's."""
    match given:
        case None:
            return None
        case GivenArtifact(origin, weights, classes):
            return StartingPoint(origin, network.as_tensors(weights), classes)
        case GivenFile(origin, path):
            return StartingPoint(origin, read_backbone(_load(path), origin))


def make_model(classes: tuple[str, ...], hp: Hyperparameters, start: StartingPoint | None) -> ResNet18:
    """Return a network for `classes`, with the parts frozen that hp.trainable excludes.

    Its weights are those of `start`, with its head for the classes that both have.
    """
    model = network.build(len(classes), hp.eps)
    if start:
        backbone = {name: tensor for name, tensor in start.weights.items() if not name.startswith(HEAD)}
        model.load_state_dict(backbone, strict=False)  # the head stays, and torchvision's file has no counters
        known = fill_head(model.fc, classes, start, hp.seed)
        some = f"its head for {known} of {plural(len(classes), 'class')}" if known else "a new head"
        logger.info("weights from %s; %s", start.origin, "its head too" if known == len(classes) else some)
    else:
        logger.info("weights=none: a random start")
    for part in frozen_parts(model, hp.trainable):
        part.requires_grad_(False)
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing in torch's overloads


@torch.no_grad()
def fill_head(head: torch.nn.Linear, classes: tuple[str, ...], start: StartingPoint, seed: int) -> int:
    """Give classes that `start` knows its rows, and the others random ones; return how many it knows.

    These are not those of `seed` alone: a job with the same seed may have made `start`, and its features would still
    speak for its own classes, one by one.
    """
    first = start.weights[f"{STEM}.weight"].contiguous().numpy()
    random = torch.Generator().manual_seed(seed + zlib.crc32(first.tobytes()))
    for tensor in head.parameters():
        tensor.uniform_(-(FEATURES**-0.5), FEATURES**-0.5, generator=random)  # as torch.nn.Linear's own
    before = start.classes or ()
    known = [name for name in classes if name in before]
    if known:
        new, old = ([names.index(name) for name in known] for names in (classes, before))
        head.weight[new] = start.weights[f"{HEAD}.weight"][old]
        head.bias[new] = start.weights[f"{HEAD}.bias"][old]
    return len(known)


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


def _load(path: Path) -> object:
    """Return what the file at `path` holds. Raises UserError, in our words: torch's advise to switch off its check."""
    why = "it is damaged, or something else"
    try:
        if path.suffix.lower() == SAFETENSORS:
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch raise almost anything
        if found := re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error)):
            why = f"it holds {found[1]}, such as a whole model does, which would run code"
    raise unreadable(path, why)
