import numpy as np
import pytest

from classifier import artifact, device, machine
from classifier.errors import UserError
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
        (np.full((8, 7), np.nan, np.float32), "damaged: its probabilities for a blank image are not finite"),
        (np.zeros((8, 9), np.float32), r"the network returns \(9,\) for an image; expected: 7 classes"),
    ],
)
def test_a_network_without_probabilities_for_the_classes_is_refused(artifact_folder, monkeypatch, answer, sentence):
    def in_lane(self, cores):
        return lambda pixels: answer[: len(pixels)]

    monkeypatch.setattr(openvino_predictor.OpenVinoPredictor, "in_lane", in_lane)
    with pytest.raises(UserError, match=sentence):
        load_predictor(artifact_folder, artifact.read(artifact_folder))
