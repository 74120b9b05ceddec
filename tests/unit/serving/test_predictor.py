import threading

import numpy as np
import pytest
import torch

from classifier import artifact, device, network
from classifier.errors import UserError
from classifier.serving.predictor import Predictor
from conftest import CLASSES, IMAGE_SIZE


@pytest.fixture(scope="module")
def predictor(artifact_folder) -> Predictor:
    return Predictor(artifact_folder, artifact.read(artifact_folder), "fp32")


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


def test_the_answer_is_the_networks(predictor, artifact_folder):
    model = network.build(len(CLASSES), eps=1e-5)
    model.load_state_dict(artifact.load_weights(artifact_folder))
    pixels = noise(4)
    with torch.no_grad():
        expected = model.eval()(network.Normalize()(torch.from_numpy(pixels))).softmax(dim=1).numpy()
    found = predictor.probabilities(pixels)
    assert found.dtype == np.float32
    assert found.shape == (4, len(CLASSES))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_an_image_has_the_same_answer_alone_and_in_a_batch(predictor):
    pixels = noise(5)
    alone = np.concatenate([predictor.probabilities(pixels[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(predictor.probabilities(pixels), alone, atol=1e-5)


def test_the_temperature_is_the_artifacts(artifact_folder, predictor):
    about = artifact.Artifact(CLASSES, IMAGE_SIZE, 1e-5, temperature=2.0)
    found = Predictor(artifact_folder, about, "fp32").probabilities(noise(3))
    expected = predictor.probabilities(noise(3)) ** 0.5
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


def test_the_statistics_are_the_artifacts(artifact_folder, predictor):
    about = artifact.Artifact(CLASSES, IMAGE_SIZE, 1e-5, mean=(0, 0, 0), std=(9, 9, 9))
    other = Predictor(artifact_folder, about, "fp32")
    assert not np.allclose(other.probabilities(noise(1)), predictor.probabilities(noise(1)), atol=1e-3)


@pytest.mark.parametrize(
    ("device_type", "cores", "lanes"), [("cpu", 1, (1,)), ("cpu", 3, (3, 1, 1, 1)), ("cuda", 4, (4,))]
)
def test_lanes(predictor, monkeypatch, device_type, cores, lanes):
    monkeypatch.setattr(predictor, "device", torch.device(device_type))
    monkeypatch.setattr(predictor, "cores", cores)
    assert predictor.lanes == lanes


def test_each_lane_has_its_own_number_of_cores(predictor):
    """A thread's number changes neither the other threads' nor that of later ones."""
    before, found = torch.get_num_threads(), {}

    def run(cores: int) -> None:
        predictor.in_lane(cores)
        barrier.wait()
        found[cores] = torch.get_num_threads()

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=run, args=(cores,)) for cores in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1: 1, 2: 2, 3: 3}
    assert torch.get_num_threads() == before


def test_the_cores_are_those_of_this_process(artifact_folder, monkeypatch):
    monkeypatch.setattr(device, "usable_cores", lambda: 3)
    assert Predictor(artifact_folder, artifact.read(artifact_folder)).cores == 3


def test_a_gpu_that_cannot_be_used(artifact_folder, monkeypatch):
    def refuse() -> None:
        raise UserError("driver too old")

    monkeypatch.setattr(device, "choose_device", refuse)
    with pytest.raises(UserError, match="driver too old"):
        Predictor(artifact_folder, artifact.read(artifact_folder))


def test_warm_up(predictor):
    predictor.warm_up()


def test_weights_without_finite_answers(artifact_folder, monkeypatch):
    weights = artifact.load_weights(artifact_folder)
    weights["fc.bias"][2] = float("nan")
    monkeypatch.setattr(artifact, "load_weights", lambda _: weights)
    with pytest.raises(UserError, match="damaged: its probabilities for a blank image are not finite"):
        Predictor(artifact_folder, artifact.read(artifact_folder)).warm_up()
