"""What training measures for int8."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import artifact, quantized
from classifier.artifact import Artifact
from classifier.serving.predictor import Predictor
from classifier.training import measure_int8 as quantization
from classifier.training.data.folders import Phase
from classifier.training.interrupt import Interrupt
from networks import trained

SIZE = 64
pytestmark = pytest.mark.skipif(not quantized.is_possible(torch.device("cpu")), reason="this processor has no AVX2")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Artifact(tuple("abcdefghij"), SIZE, 1e-5).save(folder, trained().state_dict())
    return folder


@pytest.fixture(scope="module")
def phase(tmp_path_factory, model_folder) -> Phase:
    """Noise, labelled as the model in fp32 sees it, and one file that is no image."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    pixels = random.integers(0, 256, (12, SIZE, SIZE, 3), dtype=np.uint8)
    files = [f"{i}.png" for i in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(folder / file)
    (folder / "none.png").write_bytes(b"none")
    seen = np.stack([quantization.images.evaluation_pixels((folder / file).read_bytes(), SIZE) for file in files])
    labels = Predictor(model_folder, artifact.read(model_folder), "fp32").probabilities(seen).argmax(1)
    return Phase("validation", folder, ("none.png", *files), (0, *labels.tolist()), {})


def test_what_is_measured_is_served(model_folder, phase, caplog):
    caplog.set_level("INFO")
    before = artifact.read(model_folder)
    quantization.add(model_folder, phase, Interrupt())
    about = artifact.read(model_folder)
    assert (about.quantization.images, about.classes) == (12, before.classes)
    predictor = Predictor(model_folder, about, "int8")
    read = torch.cat([pixels for pixels, _ in quantization.batches(phase, SIZE)]).numpy()
    wrong = (predictor.probabilities(read).argmax(1) != np.array(phase.labels[1:])).sum()
    assert about.quantization.accuracy_lost == wrong / 12 < 0.2
    assert f"int8: right in {12 - wrong} of 12 validation images, without it in 12" in caplog.text
    assert quantized.is_chosen("auto", predictor.device, about.quantization) is bool(wrong == 0)


def test_a_signal_leaves_the_artifact_as_it_is(tmp_path, phase):
    Artifact(tuple("abcdefghij"), SIZE, 1e-5).save(tmp_path, trained().state_dict())
    interrupt = Interrupt()
    interrupt.signal = "SIGTERM"
    quantization.add(tmp_path, phase, interrupt)
    assert json.loads((tmp_path / "model.json").read_text())["quantization"] is None


def test_weights_that_overflow_are_not_measured(tmp_path, phase):
    weights = trained().state_dict()
    weights["layer1.0.conv1.weight"] *= 1e38
    Artifact(tuple("abcdefghij"), SIZE, 1e-5).save(tmp_path, weights)
    quantization.add(tmp_path, phase, Interrupt())
    assert artifact.read(tmp_path).quantization is None


def test_of_many_pixels_some_are_seen_evenly(monkeypatch, phase):
    monkeypatch.setattr(quantization, "MOST_PIXELS", 4 * SIZE**2)
    labels = torch.cat([labels for _, labels in quantization.batches(phase, SIZE)])
    assert labels.tolist() == [phase.labels[i] for i in (4, 8, 12)]  # the first is no image
