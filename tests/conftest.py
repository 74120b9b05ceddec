"""Fixtures that more than one test file needs."""

from pathlib import Path

import pytest
import torch

from classifier import network
from classifier.artifact import Artifact

# A comma, quotes and letters beyond ASCII: whatever a folder may be called.
CLASSES = ("mops", "Käse, alt", 'a "b"', "狗", "e", "f", "g")
IMAGE_SIZE = 32


@pytest.fixture(scope="session")
def artifact_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT/model with an artifact of random weights; not to be written to."""
    folder = tmp_path_factory.mktemp("root") / "model"
    torch.manual_seed(0)
    weights = network.build(len(CLASSES), eps=1e-5).state_dict()
    Artifact(classes=CLASSES, image_size=IMAGE_SIZE, eps=1e-5).save(folder, weights)
    return folder
