from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import onnx_network
from classifier.artifact import Artifact
from classifier.errors import UserError
from classifier.training.artifact_files import save_artifact
from classifier.training.check_onnx import check_onnx
from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches
from classifier.training.data.folders import Phase
from classifier.training.hyperparameters import Hyperparameters
from networks import trained

SIZE = 64
ABOUT = Artifact(tuple("abcdefghij"), SIZE, 1e-5, temperature=2.0)


@pytest.fixture
def validation(tmp_path) -> ImageBatches:
    """Noise, and one file that is not an image."""
    (folder := tmp_path / "validation").mkdir()
    (folder / "none.png").write_bytes(b"none")
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    phase = Phase("validation", folder, ("none.png", "0.png", "1.png", "2.png", "3.png"), (0,) * 5, {})
    return ImageBatches(phase, Hyperparameters(image_size=SIZE, workers=0), Compute(torch.device("cpu"), torch.float32))


def test_a_network_that_answers_as_torchs(tmp_path, validation):
    save_artifact(tmp_path / "model", ABOUT, trained().state_dict())
    check_onnx(tmp_path / "model", validation)


def test_a_network_that_answers_otherwise_is_refused(tmp_path, validation, monkeypatch):
    build = onnx_network.build
    monkeypatch.setattr(onnx_network, "build", lambda about, weights: build(replace(about, temperature=1.0), weights))
    save_artifact(tmp_path / "model", ABOUT, trained().state_dict())
    with pytest.raises(UserError, match=r"model.onnx: a probability differs by 0\.\d+ from the network's; accepted: "):
        check_onnx(tmp_path / "model", validation)
