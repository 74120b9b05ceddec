"""A job on this computer that is continued, with a container/train that only says that it ran."""

import json
import shutil
from argparse import Namespace

import pytest

from classifier.errors import UserError
from classifier.training.data.leave_out import NAME
from datasets import digit_jpegs, write_channel
from launch import train
from local import models, places, programs

RESUMED = Namespace(resume="", image="", mlflow_uri="")


@pytest.fixture
def data(tmp_path):
    return write_channel(tmp_path, "pictures", digit_jpegs((0, 1), 0, 5))


@pytest.fixture
def job(data, tmp_path, monkeypatch):
    """The folder of a job that has begun."""
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(places, "LATEST", tmp_path / "runs/latest.json")
    monkeypatch.setattr(places, "CONTAINER", tmp_path)
    (tmp_path / "train").write_text("import pathlib, sys; (pathlib.Path(sys.argv[2]) / 'trained').touch()")
    return tmp_path / "runs" / models.begin_job("one", str(data), {"weights": "none"})


@pytest.mark.parametrize(
    ("change", "now"),
    [
        (lambda data: next((data / "digit-0").iterdir()).rename(data / "digit-1/moved.jpg"), "10 images in 2 classes"),
        (lambda data: (data / NAME).write_text(f"digit-0/{min((data / 'digit-0').iterdir()).name}"), "9 images in 2"),
        (lambda data: shutil.copytree(data / "digit-0", data / "digit-7"), "15 images in 3 classes"),
    ],
)
def test_a_job_whose_images_have_changed_is_not_continued(job, data, change, now):
    kept = shutil.copytree(data, data.with_name("kept"))
    change(data)
    began = rf"{job.name} began with 10 images in 2 classes \(\w+\)"
    refusal = rf"^{data} has {now}.* \(\w+\), and {began}; accepted: the same images, or a new job, without --resume$"
    with pytest.raises(UserError, match=refusal):
        train.train_here(RESUMED)
    assert not (job / "trained").exists()
    shutil.rmtree(data)
    kept.rename(data)
    assert train.train_here(RESUMED) == job.name
    assert (job / "trained").exists()


def test_a_job_whose_images_are_gone_is_not_continued(job, data):
    shutil.rmtree(data)
    with pytest.raises(UserError, match=f"/train is a link to {data}, where nothing is; accepted: the job's images"):
        train.train_here(RESUMED)


def test_a_job_of_an_earlier_version_goes_on_as_then(job, data):
    (job / programs.IMAGES).unlink()
    (data / "digit-0/new.jpg").touch()
    train.train_here(RESUMED)
    assert (job / "trained").exists()


@pytest.mark.parametrize("values", [{}, {"images": 7}])
def test_a_damaged_file_is_refused(job, values):
    (job / programs.IMAGES).write_text(json.dumps(values))
    with pytest.raises(UserError, match="images.json is damaged: images is "):
        train.train_here(RESUMED)
