"""The images that are sampled, and their answers."""

import io
import random

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import artifact, images
from classifier.serving.predictor import load_predictor
from classifier.training.answers import in_job, sample
from classifier.training.data.folders import read_dataset
from classifier.training.interrupt import Interrupt
from conftest import IMAGE_SIZE
from helpers import photo

CPU = torch.device("cpu")


@pytest.fixture
def dataset(tmp_path):
    for split, count in (("train", 4), ("test", 6)):
        for class_name in ("class-a", "class-b"):
            folder = tmp_path / split / class_name
            folder.mkdir(parents=True)
            for number in range(count):
                photo(60, 40).rotate(7 * number).save(folder / f"{number}.jpg")
    (tmp_path / "test/class-a/broken.jpg").write_bytes(b"\xff\xd8 broken")
    return read_dataset({"train": tmp_path}, seed=0)


def sampled(folder, artifact_folder, dataset, wanted=100):
    in_job.add_answers(folder, artifact_folder, dataset, wanted, CPU, Interrupt())
    return sample.read(folder / sample.FILE)


def test_the_answers_are_the_models(tmp_path, artifact_folder, dataset):
    """An engine of serving's, which training does not ask here, agrees."""
    taken = sampled(tmp_path, artifact_folder, dataset)
    about = artifact.read(artifact_folder)
    assert (taken.model_sha256, taken.phase, len(taken.images)) == (about.sha256["model.safetensors"], "test", 12)
    assert (taken.classes, taken.answers_key) == (about.classes, about.answers_key)
    predictor = load_predictor(artifact_folder, about, "fp32")
    for one in taken.images:
        answer = predictor.in_lane(predictor.lanes[0])(images.evaluation_pixels(one.data, IMAGE_SIZE)[None])[0]
        found = [one.probabilities[name] for name in about.classes if name in one.probabilities]
        assert max(one.probabilities, key=one.probabilities.__getitem__) == about.classes[answer.argmax()]
        assert list(one.probabilities.values()) == sorted(one.probabilities.values(), reverse=True)
        np.testing.assert_allclose(sorted(found), sorted(answer)[-len(found) :], atol=1e-4)


def test_validation_stands_in_for_a_test_set(tmp_path, artifact_folder, dataset):
    (tmp_path / "test").rename(tmp_path / "gone")
    taken = sampled(tmp_path, artifact_folder, read_dataset({"train": tmp_path / "train"}, seed=0))
    assert (taken.phase, len(taken.images)) == ("validation", 2)


def test_as_many_as_are_wanted(tmp_path, artifact_folder, dataset):
    assert len(sampled(tmp_path, artifact_folder, dataset, wanted=3).images) == 3
    assert sampled(tmp_path / "none", artifact_folder, dataset, wanted=0) is None


def test_large_photos_are_scaled_down_and_the_file_stays_small(tmp_path):
    noise = np.frombuffer(random.Random(0).randbytes(900 * 700 * 3), np.uint8).reshape(700, 900, 3)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.fromarray(noise).save(tmp_path / name / f"{number}.png")
    phase = read_dataset({"train": tmp_path}, seed=0).train
    for _, data in in_job.choose(phase, 224):
        assert len(data) < 120_000
        assert min(Image.open(io.BytesIO(data)).size) == 256


def test_no_more_bytes_than_the_limit(tmp_path, artifact_folder, dataset, monkeypatch):
    size = len(next(in_job.choose(dataset.test, IMAGE_SIZE))[1])
    monkeypatch.setattr(in_job, "MOST_BYTES", 5 * size)
    taken = sampled(tmp_path, artifact_folder, dataset)
    assert 3 <= len(taken.images) <= 6
    assert sum(len(one.data) for one in taken.images) <= 5 * size


def test_after_a_signal_there_is_none(tmp_path, artifact_folder, dataset):
    stopped = Interrupt()
    stopped.signal = "SIGTERM"
    in_job.add_answers(tmp_path, artifact_folder, dataset, 100, CPU, stopped)
    assert sample.read(tmp_path / sample.FILE) is None
