"""The real container/train with various hyperparameters."""

import itertools
import os
import shutil
import subprocess

import pytest
import torch

from classifier import artifact
from datasets import (
    QUICK,
    TRAIN,
    WITHOUT_A_NAME,
    altered_train,
    digit_jpegs,
    report_of,
    train,
    write_channel,
    write_hyperparameters,
)
from networks import stored_weights
from waits import PATIENCE_S

FOUR = range(4)


def small_shared_memory():
    """Return a command that runs another with 400 kB of /dev/shm, or an empty one without the right to mount."""
    program = shutil.which("unshare")
    allowed = program and subprocess.run([program, "-m", "true"], capture_output=True).returncode == 0
    return (
        [program, "-m", "sh", "-c", 'mount -t tmpfs -o size=400k tmpfs /dev/shm && exec "$@"', "sh"] if allowed else []
    )


def test_the_same_seed_gives_the_same_weights_also_where_shared_memory_is_small(tmp_path):
    weights, small = [], small_shared_memory()
    for name, seed, workers, within in (("one", 7, 0, []), ("two", 7, 4, small), ("three", 8, 0, [])):
        write_channel(tmp_path / name, "train", digit_jpegs(FOUR, 0, 10))
        write_hyperparameters(
            tmp_path / name, **QUICK | {"seed": seed, "workers": workers, "augmentation": "standard", "batch_size": 8}
        )
        result = train(tmp_path / name, within)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "workers" not in result.stdout
        weights.append((tmp_path / name / "model/model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_early_stopping(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 20))
    write_hyperparameters(tmp_path, **QUICK | {"epochs": 50, "lr": 1e-8, "early_stopping_patience": 2})
    result = train(tmp_path)
    assert result.returncode == 0
    assert "validation:accuracy has not improved since epoch " in result.stdout
    assert len((tmp_path / "output/data/metrics.jsonl").read_text().splitlines()) < 20


def test_every_choice_trains(tmp_path):
    """The values that the other tests leave out, in one job."""
    write_channel(tmp_path, "train", [*digit_jpegs([0], 0, 30), *digit_jpegs([1, 2], 0, 10)])
    choices = {"optimizer": "sgd", "precision": "bf16", "class_weights": "balanced", "label_smoothing": 0.1}
    more = {
        "objective": "validation:loss",
        "trainable": "layer2",
        "eps": 1e-9,
        "report_images": "false",
        "tensorboard": "true",
    }
    write_hyperparameters(tmp_path, **QUICK | {"augmentation": "standard"} | choices | more)
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "matrix products in torch.bfloat16" in result.stdout
    assert "no validation channel: 10 of 50 images of train set aside, about 20 % of each class, and" in result.stdout
    page = report_of(tmp_path)
    assert "Measured on the validation images" in page
    assert "data:image/jpeg" not in page
    assert (tmp_path / "output/data/validation_predictions.csv").exists()
    assert artifact.read(tmp_path / "model").eps == 1e-9
    assert (tmp_path / "output/tensorboard/metrics.tfevents").stat().st_size > 0


def test_fp16_scales_the_loss(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 20))
    write_hyperparameters(tmp_path, **QUICK | {"precision": "fp16", "epochs": 2})
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "matrix products in torch.float16" in result.stdout


# Batch normalisation makes up for it, but not for what is infinite.
LARGE_WEIGHTS = """
from classifier.training import model
make = model.make_model
def make_large(*arguments):
    made = make(*arguments)
    made.conv1.weight.data *= 1e6
    return made
model.make_model = make_large
"""


@pytest.mark.parametrize(("precision", "code"), [("fp32", 0), ("fp16", 1)])
def test_values_beyond_fp16_are_not_blamed_on_the_learning_rate_alone(tmp_path, precision, code):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 20))
    write_hyperparameters(tmp_path, **QUICK | {"precision": precision, "epochs": 1})
    environ = os.environ | {"PYTHONPATH": str(TRAIN.parent), "OMP_NUM_THREADS": "1"}
    command = [*altered_train(LARGE_WEIGHTS), "--root", str(tmp_path)]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == code, result.stdout + result.stderr
    if code:
        assert (
            "values leave the range of fp16; precision=fp32 has a wider one\n"
            in (tmp_path / "output/failure").read_text()
        )


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_user_id_without_a_name_trains(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 10))
    write_hyperparameters(tmp_path, **QUICK | {"debug": "auto"})
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 4321, 4321)
    result = train(tmp_path, WITHOUT_A_NAME.split())
    assert result.returncode == 0, result.stdout + result.stderr


def test_pretrained_weights_gain_over_a_random_start(tmp_path):
    """The short form of benchmarks/pretrained.py: pretrain on five digits, fine-tune on a few of the other five."""
    before = tmp_path / "before"
    write_channel(before, "train", digit_jpegs(range(5), 0, 120))
    write_hyperparameters(before, **QUICK | {"epochs": 4, "batch_size": 32, "lr": 0.002})
    assert train(before).returncode == 0
    accuracy = {"imagenet": 0.0, "none": 0.0}
    for weights, seed in itertools.product(accuracy, range(2)):
        root = tmp_path / f"{weights}{seed}"
        for channel, first, last in (("train", 0, 8), ("validation", 100, 110), ("test", 110, 170)):
            write_channel(root, channel, digit_jpegs(range(5, 10), first, last))
        if weights == "imagenet":
            (root / "input/data/pretrained").mkdir()
            torch.save(stored_weights(before / "model"), root / "input/data/pretrained/resnet18.pth")
        few = {"weights": weights, "epochs": 3, "batch_size": 8, "lr": 0.0003, "seed": seed}
        write_hyperparameters(root, **QUICK | few)
        result = train(root)
        assert result.returncode == 0, result.stdout
        accuracy[weights] += artifact.read(root / "model").metrics["test:accuracy"] / 2
    assert accuracy["imagenet"] > accuracy["none"] + 0.1, accuracy
