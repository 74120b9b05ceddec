"""A Model that several threads call: each gets the answer to its own picture."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from classifier.serving import predictor
from helpers import encode, photo
from local import Model

THREADS = 8


@pytest.fixture(scope="module")
def model(artifact_folder):
    return Model(artifact_folder)


@pytest.fixture(scope="module")
def pictures():
    return [encode(photo(64, 64, seed=seed)) for seed in range(THREADS)]


def test_each_thread_gets_the_answer_to_its_own_picture(model, pictures):
    expected = [model.predict(picture) for picture in pictures]
    assert len({str(one) for one in expected}) == THREADS
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(model.predict, pictures * 20)) == expected * 20


def test_explanations_too(model, pictures):
    expected = [model.explain(picture)[0] for picture in pictures]
    with ThreadPoolExecutor(THREADS) as pool:
        for found, alone in zip(pool.map(model.explain, pictures * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(found[0].pop("map"), alone["map"])
            assert found[0] == {name: value for name, value in alone.items() if name != "map"}


def test_models_are_loaded_one_after_the_other(artifact_folder, monkeypatch):
    """OpenVINO may wait for ever where two threads make its first call at the same time."""
    load, loading = predictor.load_predictor, []

    def load_alone(*about):
        loading.append(1)
        assert len(loading) == 1
        time.sleep(0.05)
        loaded = load(*about)
        loading.clear()
        return loaded

    monkeypatch.setattr(predictor, "load_predictor", load_alone)
    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(Model, [artifact_folder] * 2))) == 2
