"""Weights that a job is given to start from, and what is said of those that are refused."""

import pytest
import torch

from classifier import network
from classifier.artifact import Artifact
from classifier.errors import UserError
from classifier.training.artifact_files import save_artifact
from classifier.training.given_weights import find_weights
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.model import starting_point as read_weights

FIVE = ("a", "b", "c", "d", "e")


def build(seed, classes=5):
    torch.manual_seed(seed)
    return network.build(classes, eps=1e-5)


def starting_point(hp, channels, *imagenet_folder):
    return read_weights(find_weights(hp, channels, *imagenet_folder))


def refusal(hp, channels, folder=None):
    with pytest.raises(UserError) as refused:
        starting_point(hp, channels, *([folder] if folder else []))
    return str(refused.value)


def write_artifact(folder):
    save_artifact(folder, Artifact(classes=FIVE, image_size=32, eps=1e-5), build(1).state_dict())
    return folder


def pretrained(folder, weights, name="w.pth", save=torch.save):
    save(weights, folder / name)
    return refusal(Hyperparameters(), {"pretrained": folder})
