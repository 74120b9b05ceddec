from dataclasses import replace

import numpy as np
import pytest

from classifier import artifact, device, engine, machine
from classifier.artifact import Quantization
from classifier.errors import UserError
from classifier.layers import CONVOLUTIONS
from classifier.serving import openvino_predictor
from classifier.serving.openvino_predictor import OpenVinoPredictor
from classifier.serving.predictor import load_predictor
from classifier.serving.torch_predictor import TorchPredictor


def test_a_processor_is_served_by_openvino(artifact_folder):
    predictor = load_predictor(artifact_folder, artifact.read(artifact_folder))
    assert isinstance(predictor, OpenVinoPredictor)
    assert predictor.device == "cpu"


def test_a_gpu_is_served_by_torch(artifact_folder, monkeypatch):
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device, "has_gpu", lambda _: False)  # so that torch takes the processor
    assert isinstance(load_predictor(artifact_folder, artifact.read(artifact_folder)), TorchPredictor)


def test_a_gpu_that_cannot_be_used(artifact_folder, monkeypatch):
    def refuse() -> None:
        raise UserError("driver too old")

    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    monkeypatch.setattr(device, "choose_device", refuse)
    with pytest.raises(UserError, match="driver too old"):
        load_predictor(artifact_folder, artifact.read(artifact_folder))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (np.full((8, 7), np.nan, np.float32), "damaged: its answers for an image of noise are not finite"),
        (np.zeros((8, 9), np.float32), r"the network returns \(9,\) for an image; expected: 7 values"),
    ],
)
def test_a_network_without_probabilities_for_the_classes_is_refused(artifact_folder, monkeypatch, answer, sentence):
    def in_lane(self, cores):
        return lambda pixels: answer[: len(pixels)]

    monkeypatch.setattr(openvino_predictor.OpenVinoPredictor, "in_lane", in_lane)
    with pytest.raises(UserError, match=sentence):
        load_predictor(artifact_folder, artifact.read(artifact_folder))


@pytest.mark.skipif("int8" not in engine.list_precisions(), reason="this processor has no int8")
def test_an_engine_that_is_wrong_for_an_image_alone_is_not_used(artifact_folder, monkeypatch, caplog):
    """As OpenVINO 2026.4 is for images of 32 px in int8 with an untrained network."""
    ranges = {name: (-8.0 if layer.is_shortcut else 0.0, 8.0) for name, layer in CONVOLUTIONS.items()}
    about = replace(artifact.read(artifact_folder), quantization=Quantization(ranges, 100, 0.0))
    about = replace(about, networks_key=about.key)
    correct = OpenVinoPredictor.in_lane

    def in_lane(self, cores):
        forward = correct(self, cores)
        return lambda pixels: forward(pixels) + (self.precision == "int8" and len(pixels) == 1)

    monkeypatch.setattr(OpenVinoPredictor, "in_lane", in_lane)
    assert OpenVinoPredictor(artifact_folder, about).precision == "int8"
    assert load_predictor(artifact_folder, about).precision == engine.native_precision()
    assert "in precision int8 a probability of an image alone differs by" in caplog.text
    with pytest.raises(UserError, match="of the same image in a batch of 4"):
        load_predictor(artifact_folder, about, "int8")
