import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from classifier import artifact, device, network
from classifier.errors import UserError
from classifier.serving.predictor import Predictor
from conftest import CLASSES, IMAGE_SIZE


@pytest.fixture(scope="module")
def predictor(artifact_folder) -> Predictor:
    return Predictor(artifact_folder, artifact.read(artifact_folder))


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


def test_a_list_is_as_good_as_an_array(predictor):
    pixels = noise(3)
    assert (predictor.probabilities(list(pixels)) == predictor.probabilities(pixels)).all()


def test_an_image_has_the_same_answer_alone_and_in_a_batch(predictor):
    pixels = noise(5)
    alone = np.concatenate([predictor.probabilities(pixels[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(predictor.probabilities(pixels), alone, atol=1e-5)


def test_the_statistics_are_the_artifacts(artifact_folder, predictor):
    other = Predictor(artifact_folder, artifact.Artifact(CLASSES, IMAGE_SIZE, 1e-5, mean=(0, 0, 0), std=(9, 9, 9)))
    assert not np.allclose(other.probabilities(noise(1)), predictor.probabilities(noise(1)), atol=1e-3)


def test_many_threads_get_their_own_answers_one_forward_pass_at_a_time(predictor, monkeypatch):
    running, most = threading.Semaphore(0), []
    forward = predictor._forward

    def counted(pixels: np.ndarray) -> np.ndarray:
        most.append(threading.current_thread().name)
        assert not running.acquire(blocking=False)
        running.release()
        try:
            return forward(pixels)
        finally:
            running.acquire()

    expected = [predictor.probabilities(noise(1, seed)) for seed in range(24)]
    monkeypatch.setattr(predictor, "_forward", counted)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda seed: predictor.probabilities(noise(1, seed)), range(24)))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(set(most)) == 1


def test_torch_uses_the_cores_of_this_process(artifact_folder, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(device, "usable_cores", lambda: 3)
    try:
        assert Predictor(artifact_folder, artifact.read(artifact_folder)).threads == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


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
    with pytest.raises(UserError, match="no finite numbers"):
        Predictor(artifact_folder, artifact.read(artifact_folder)).warm_up()
