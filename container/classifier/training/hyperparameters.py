"""The table of all hyperparameters (names, defaults, accepted values, meanings), and its strict parser."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from classifier.errors import UserError
from classifier.json_text import shown
from classifier.layers import IMAGE_SIZES, STAGES
from classifier.training.accepted_values import (
    Accepted,
    Between,
    Choice,
    Flag,
    OneOf,
    Range,
    Real,
    Several,
    Whole,
    text_of,
)
from classifier.training.answers.sample import MOST_IMAGES
from classifier.training.debugging.names import RuleName
from classifier.training.metrics import OBJECTIVES

# SageMaker's tuning jobs and SDKs add names of their own.
RESERVED_PREFIXES = ("_tuning_", "sagemaker_")
NO_RULE = "none"
# What other programs call ours.
OTHER_NAMES = {"learning_rate": "lr", "bs": "batch_size", "wd": "weight_decay", "l2": "weight_decay"}


def hyperparameter(
    default: object, accepted: Accepted, meaning: str, tuned: Range | None = None, free: bool = False
) -> Any:
    """Return a field of Hyperparameters.

    `tuned` is the range that a tuning job searches; None keeps the default. `free` says that a run stays the same run,
    and goes on from its checkpoints, when this value changes: it does not change what a step does to the weights.
    """
    return field(default=default, metadata={"accepted": accepted, "meaning": meaning, "tuned": tuned, "free": free})


def choice(default: str, *others: str, meaning: str, free: bool = False) -> Any:
    return hyperparameter(default, Choice((default, *others)), meaning, free=free)


@dataclass(frozen=True)
class Hyperparameters:
    """A training job's hyperparameters, each within its accepted values."""

    epochs: int = hyperparameter(10, Whole(1, 10_000), "passes over the training images", free=True)
    batch_size: int = hyperparameter(64, Whole(2, 8192), "images per step over all devices", OneOf((64, 128)))
    lr: float = hyperparameter(
        0.001, Real(1e-8, 10), "learning rate at its peak, after the warm-up", Between(1e-4, 0.1)
    )
    weight_decay: float = hyperparameter(
        0.01, Real(0, 1), "penalty on the weights in the optimiser", Between(1e-3, 0.1)
    )
    eps: float = hyperparameter(
        1e-5, Real(1e-12, 0.1), "epsilon of every batch normalisation layer", Between(1e-9, 1e-8)
    )
    optimizer: str = choice("adamw", "sgd", meaning="the optimiser; sgd with Nesterov momentum 0.9")
    optimizer_eps: float = hyperparameter(1e-8, Real(1e-12, 0.1), "epsilon of adamw")
    label_smoothing: float = hyperparameter(0.0, Real(0, 0.9), "probability spread over the other classes")
    trainable: str = choice("all", *STAGES, "head", meaning="what is trained: all, a stage and up, or the head alone")
    weights: str = choice("imagenet", "none", meaning="what training starts from; none is a random start")
    image_size: int = hyperparameter(224, Whole(*IMAGE_SIZES), "side in pixels of the square the network sees")
    augmentation: str = choice("standard", "none", meaning="standard crops and flips the training images at random")
    class_weights: str = choice(
        "none", "balanced", meaning="balanced makes rare classes count as much as frequent ones"
    )
    early_stopping_patience: int = hyperparameter(
        0, Whole(0, 10_000), "epochs without a better objective; 0 never stops", free=True
    )
    objective: str = choice(*OBJECTIVES, meaning="what the best epoch is chosen by; of equal ones, the lower loss")
    # Free, since the dtype that it leads to is part of a run's identity.
    precision: str = choice(
        *("auto", "fp32", "bf16", "fp16"),
        meaning="auto is bf16 where there are instructions for it, fp16 on older GPUs",
        free=True,
    )
    workers: int = hyperparameter(
        -1, Whole(-1, 256), "processes that read images; -1 is one per core, at most 64", free=True
    )
    seed: int = hyperparameter(0, Whole(0, 2**31 - 1), "seed of every random choice")
    report_images: bool = hyperparameter(True, Flag(), "show the worst mistakes as pictures in the report", free=True)
    answers_sample: int = hyperparameter(
        MOST_IMAGES, Whole(0, MOST_IMAGES), "test images kept with their answers, which deploy.py compares", free=True
    )
    debug: str = choice(
        "auto", "off", meaning="save losses, gradients, weights and activations, and look at them", free=True
    )
    profile: str = choice("auto", "off", meaning="time some steps after the warm-up, and trace a few", free=True)
    tensorboard: bool = hyperparameter(False, Flag(), "write every epoch's metrics for TensorBoard too", free=True)
    stop_on_rule: str = hyperparameter(
        NO_RULE, Several(tuple(RuleName), NO_RULE), "rules that end the job when they have found something", free=True
    )


FIELDS = {item.name: item for item in dataclasses.fields(Hyperparameters)}
SEARCH_SPACE: dict[str, Range] = {name: f.metadata["tuned"] for name, f in FIELDS.items() if f.metadata["tuned"]}
FREE = frozenset(name for name, item in FIELDS.items() if item.metadata["free"])


def parse(values: Mapping[str, object]) -> Hyperparameters:
    """Return the Hyperparameters that SageMaker passes as names and strings.

    A value may be JSON-quoted ('"256"'), or a bare JSON number or boolean from a file written by hand. Raises
    UserError for an unknown name, a wrong type, or a value out of range.
    """
    parsed = {}
    for name, value in values.items():
        if name.startswith(RESERVED_PREFIXES):
            continue
        if name not in FIELDS:
            raise unknown_name(name)
        accepted = FIELDS[name].metadata["accepted"]
        try:
            parsed[name] = accepted.parse(_text(value))
        except (ValueError, KeyError, OverflowError):
            raise UserError(f"hyperparameter {name} is {shown(value)}; accepted: {accepted}") from None
    return Hyperparameters(**parsed)


def unknown_name(name: str) -> UserError:
    """Return the error for a name that no hyperparameter has, with the one that was meant if that is clear."""
    near = [OTHER_NAMES[name]] if name in OTHER_NAMES else get_close_matches(name, FIELDS, 1)
    near = near or [known for known in FIELDS if len(name) > 3 and (name in known or known in name)]
    meant = f", did you mean {near[0]}" if len(near) == 1 else ""
    return UserError(f"unknown hyperparameter {shown(name)}{meant}; accepted: {', '.join(FIELDS)}")


def rows() -> list[tuple[str, str, str, str]]:
    """Return name, default, accepted values and meaning of every hyperparameter, as texts."""
    return [
        (name, text_of(item.default), str(item.metadata["accepted"]), item.metadata["meaning"])
        for name, item in FIELDS.items()
    ]


def help_text() -> str:
    """Return the table for `train --help`."""
    lines = ["hyperparameters, in ROOT/input/config/hyperparameters.json:"]
    for name, default, accepted, meaning in rows():
        lines.append(f"  {name:<24} {meaning}\n  {'':<24} default {default}; accepted: {accepted}")
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, str):
        text = value.strip()
        return str(json.loads(text)).strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
    if isinstance(value, bool | int | float):
        return text_of(value)
    raise ValueError
