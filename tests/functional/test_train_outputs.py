"""The real container/train in a folder that an earlier job has used, that another uses, or that cannot be used."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from classifier import network
from datasets import (
    QUICK,
    TRAIN,
    WITHOUT_A_NAME,
    altered_train,
    digit_jpegs,
    train,
    write_channel,
    write_hyperparameters,
)
from waits import PATIENCE_S, wait_until

NO_FOLDER = "is not a folder; accepted: nothing there, or a folder that this job can write to"
NO_FILE = "is not a regular file; accepted: nothing there, or a file that this job may replace"


def prepare(root, *more, **hyperparameters):
    for channel in ("train", "validation", *more):
        write_channel(root, channel, digit_jpegs(range(2), 0, 6))
    write_hyperparameters(root, **QUICK | {"batch_size": 4} | hyperparameters)
    return root


def refused(result):
    """Return the sentence with which a job failed."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return result.stdout.splitlines()[0]


def test_nothing_of_an_earlier_job_stays(tmp_path):
    data = prepare(tmp_path, "test", debug="auto", profile="auto") / "output/data"
    assert train(tmp_path).returncode == 0
    assert {"tensors", "test_predictions.csv"} <= {path.name for path in data.iterdir()}
    shutil.rmtree(tmp_path / "input/data/test")
    (tmp_path / "output/failure").write_text("an earlier job's")
    (data / "notes.csv").write_text("the user's")
    write_hyperparameters(tmp_path, **QUICK | {"lr": 99})
    assert "lr is '99'" in refused(train(tmp_path))
    assert (data / "test_predictions.csv").exists()  # what another job wrote is worth more than a mistake in this one
    write_hyperparameters(tmp_path, **QUICK)
    assert train(tmp_path).returncode == 0
    assert not (tmp_path / "output/failure").exists()
    assert sorted(path.name for path in data.iterdir()) == [
        *("answers.json", "debug.json", "labels.csv", "metrics.jsonl", "notes.csv", "profile.json", "report.html"),
        "skipped_images.csv",
        *("validation_confusion_matrix.csv", "validation_per_class.csv", "validation_predictions.csv"),
    ]


def test_a_second_job_in_the_folder_of_one_that_runs_leaves_it_alone(tmp_path):
    prepare(tmp_path, epochs=1000)
    with (tmp_path / "log").open("wb") as log:
        first = subprocess.Popen([sys.executable, str(TRAIN), "--root", str(tmp_path)], stdout=log, stderr=log)
    try:
        wait_until(lambda: "epoch 1/" in (tmp_path / "log").read_text(), "the first job's first epoch")
        sentence = f"another training process works in {tmp_path}; accepted: one at a time, or another folder"
        assert refused(train(tmp_path)) == sentence
        assert not (tmp_path / "output/failure").exists()
    finally:
        first.kill()  # and its readers live on for some seconds
        first.wait()
    write_hyperparameters(tmp_path, **QUICK | {"seed": 1})
    assert train(tmp_path).returncode == 0


@pytest.mark.parametrize("place", ["model", "output/data", "checkpoints"])
def test_a_file_in_place_of_a_folder(tmp_path, place):
    (prepare(tmp_path) / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("a file")
    assert refused(train(tmp_path)) == f"{tmp_path / place} {NO_FOLDER}"
    assert (tmp_path / "output/failure").read_text() == f"{tmp_path / place} {NO_FOLDER}\n"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("place", ["model/model.json", "output/data/metrics.jsonl", "output/data/skipped_images.csv"])
def test_a_folder_or_a_pipe_in_place_of_a_file(tmp_path, place, make):
    (prepare(tmp_path) / place).parent.mkdir(parents=True)
    make(tmp_path / place)
    assert refused(train(tmp_path)) == f"{tmp_path / place} {NO_FILE}"


def test_a_pipe_in_place_of_the_failure_is_replaced(tmp_path):
    prepare(tmp_path, lr=99)
    (tmp_path / "output").mkdir()
    os.mkfifo(tmp_path / "output/failure")
    sentence = refused(train(tmp_path))
    assert (tmp_path / "output/failure").read_text() == f"{sentence}\n"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_folder_that_the_user_may_not_change(tmp_path):
    prepare(tmp_path)
    (tmp_path / "model").mkdir()
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 4321, 4321)
    (tmp_path / "model").chmod(0o555)
    assert refused(train(tmp_path, WITHOUT_A_NAME.split())) == (
        f"user 4321 cannot write to {tmp_path}/model: Permission denied; accepted: a folder that this user may change"
    )


def test_weights_that_become_infinite_leave_no_artifact(tmp_path):
    """Batch normalisation divides by an infinite variance, so that the loss stays a number."""
    prepare(tmp_path, weights="imagenet")
    (tmp_path / "input/data/pretrained").mkdir()
    weights = {name: tensor * 1e30 for name, tensor in network.build(2, 1e-5).state_dict().items()}
    torch.save(weights, tmp_path / "input/data/pretrained/w.pth")
    command = altered_train("from classifier import weight_values; weight_values.LARGEST = float('inf')")
    result = subprocess.run([*command, "--root", str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 1, result.stdout + result.stderr
    failure = (tmp_path / "output/failure").read_text()
    assert failure.startswith("the network after 3 steps: 'bn1.running_var' has values that are not finite ")
    assert not (tmp_path / "model").exists()
