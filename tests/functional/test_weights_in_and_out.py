"""The real programs with weights and state that another program wrote, or that a kill has left."""

import json
import re
import subprocess

import pytest
import torch

from checkout import Checkout
from classifier import artifact, network
from classifier.artifact import METADATA_FILE, Artifact
from classifier.artifact_fields import WEIGHTS_FILE
from classifier.training.artifact_files import save_artifact
from datasets import QUICK, altered_train, digit_jpegs, train, write_channel, write_hyperparameters
from helpers import serve
from waits import PATIENCE_S

TWO = ("digit-0", "digit-1")


def prepare(root, **hyperparameters):
    write_channel(root, "train", digit_jpegs(range(2), 0, 6))
    write_hyperparameters(root, **QUICK | {"batch_size": 4} | hyperparameters)
    return root


def failure(root):
    """Run a job that must fail, and return its failure file, which has one sentence."""
    result = train(root)
    assert result.returncode == 1, result.stdout + result.stderr
    text = (root / "output/failure").read_text()
    assert text.count("\n") == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert all(letter.isprintable() or letter == "\n" for letter in text + result.stdout)
    return text


def build(classes=2):
    torch.manual_seed(1)
    return network.build(classes, eps=1e-5)


def of_resnet34():
    return build().state_dict() | {"layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)}


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (of_resnet34, "channel pretrained (w.pth) has 'layer1.2.conv1.weight', which is not a part of resnet18"),
        (
            build,
            "such as a whole model does, which would run code; accepted: tensors by name, as torch.save(model.state",
        ),
        (lambda: {"state_dict": build().state_dict()}, "has its weights under 'state_dict'"),
    ],
)
def test_a_file_of_other_weights_is_one_sentence(tmp_path, weights, sentence):
    prepare(tmp_path, weights="imagenet")
    (tmp_path / "input/data/pretrained").mkdir()
    torch.save(weights(), tmp_path / "input/data/pretrained/w.pth")
    text = failure(tmp_path)
    assert sentence in text
    assert "weights_only" not in text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_hyperparameters_in_another_encoding(tmp_path, encoding):
    prepare(tmp_path)
    path = tmp_path / "input/config/hyperparameters.json"
    path.write_text(path.read_text(), encoding=encoding)
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_without_two_readable_images_that_is_what_is_said(tmp_path, trainable):
    write_channel(tmp_path, "train", digit_jpegs((0,), 0, 1) + digit_jpegs((1,), 0, 1))
    write_channel(tmp_path, "validation", digit_jpegs(range(2), 1, 3))
    write_hyperparameters(tmp_path, **QUICK | {"trainable": trainable})
    next((tmp_path / "input/data/train/digit-0").iterdir()).write_bytes(b"not an image")
    folder = tmp_path / "input/data/train"
    assert failure(tmp_path) == (
        f"no step of epoch 1 had two readable images; accepted: 2 or more readable images in {folder}\n"
    )


# Kills the process before the n-th rename of a file of the artifact.
KILL = """
import os, signal
replace, left = os.replace, [{}]
def killed(source, target, **options):
    left[0] -= str(target).startswith({!r})
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target, **options)
os.replace = killed
"""


@pytest.mark.parametrize("rename", [1, 2])
def test_a_job_that_is_killed_between_the_two_files_leaves_no_mixture_and_can_be_started_again(tmp_path, rename):
    prepare(tmp_path)
    model = tmp_path / "model"
    save_artifact(model, Artifact(TWO, 32, 1e-5, metrics={"old": 1}), build().state_dict())
    command = [*altered_train(KILL.format(rename, str(model))), "--root", str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert killed.returncode == -9, killed.stdout + killed.stderr
    assert not (model / METADATA_FILE).exists()
    assert (model / f".{METADATA_FILE}.partial").exists()
    with serve(tmp_path, tmp_path / "log") as server:
        assert server.process.wait(PATIENCE_S) == 1
        assert "serve: no model artifact in " in server.log
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    about = artifact.read(model)
    assert {path.name for path in model.iterdir()} == {METADATA_FILE, *about.sha256}
    assert "epoch" in about.metrics


def test_a_full_disk_at_the_artifact_names_the_file(tmp_path):
    prepare(tmp_path)
    (tmp_path / "model").mkdir()
    # A link, which is what the job removes: never the device.
    link = f"(folder / '.{WEIGHTS_FILE}.partial').symlink_to('/dev/full')"
    change = f"from classifier.training import best; best.remove_partial_files = lambda folder: {link}"
    command = [*altered_train(change), "--root", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 1
    text = (tmp_path / "output/failure").read_text()
    where = tmp_path / "model" / WEIGHTS_FILE
    assert text.startswith(f"the disk is full: [Errno 28] No space left on device: '{where}'; accepted: ")
    assert list((tmp_path / "model").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"temperature": float("inf")}, "model.json is damaged: temperature is Infinity; accepted: a number from"),
        (
            {"image_size": 1_000_000},
            "model.json is damaged: image_size is 1000000; accepted: a whole number from 32 to",
        ),
        ({"mean": [0.5]}, "model.json is damaged: mean is [0.5]; accepted: 3 numbers from 0 to 1"),
        (
            {"sha256": {WEIGHTS_FILE: "0" * 64}},
            "model.safetensors is not the file that its model.json was written with",
        ),
    ],
)
def test_a_server_refuses_an_artifact_that_is_not_one(tmp_path, changes, sentence):
    save_artifact(tmp_path / "model", Artifact(TWO, 32, 1e-5), build().state_dict())
    path = tmp_path / "model" / METADATA_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with serve(tmp_path, tmp_path / "log") as server:
        assert server.process.wait(PATIENCE_S) == 1
        assert sentence in server.log
        assert "Traceback" not in server.log


def test_a_server_refuses_weights_that_are_not_finite(tmp_path):
    weights = build().state_dict() | {"fc.bias": torch.tensor([0.0, float("nan")])}
    save_artifact(tmp_path / "model", Artifact(TWO, 32, 1e-5), weights)
    with serve(tmp_path, tmp_path / "log") as server:
        assert server.process.wait(PATIENCE_S) != 0
        assert "model.safetensors: 'fc.bias' has values that are not finite (NaN or infinity)" in server.log
        assert "Traceback" not in server.log


@pytest.fixture
def damaged(tmp_path):
    """A checkout whose file of the latest names is empty."""
    checkout = Checkout(tmp_path, AWS_ACCESS_KEY_ID="")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/latest.json").touch()
    return checkout


def test_commands_that_need_the_damaged_names_say_so(damaged):
    write_channel(damaged.folder, "pictures", digit_jpegs(range(2), 0, 2)).rename(damaged.folder / "pictures")
    for command in ("predict.py --local pictures", "deploy.py --local", "tune.py --local --resume", "train.py --local"):
        sentence = damaged.refuses(command)
        assert "runs/latest.json is not valid JSON: " in sentence
        assert sentence.endswith("It has the names of what was made last: give them as options, or remove it")


def test_commands_that_do_not_need_the_damaged_names_do_their_work(damaged):
    write_channel(damaged.folder, "pictures", digit_jpegs(range(2), 0, 6)).rename(damaged.folder / "pictures")
    code, out, error = damaged.run("cleanup.py --local")
    assert (code, out) == (0, "on this computer: no server is known to run\n")
    (told,) = error.splitlines()
    assert "runs/latest.json is not valid JSON" in told
    assert re.search(r"runs/latest.json.damaged-[-\d]+; a server that it named may still run here", told)
    (damaged.folder / "runs/latest.json").write_text("{")
    pairs = " ".join(f"{name}={value}" for name, value in QUICK.items() if name != "lr")
    code, out, error = damaged.run(f"tune.py --local --max-jobs 1 --data pictures --hyperparameters {pairs}")
    assert code == 0, out + error
    assert list(json.loads((damaged.folder / "runs/latest.json").read_text())) == ["local_tuning", "local_job"]
    (tuning,) = (damaged.folder / "runs").glob("*/tuning.json")
    tuning.write_text("")
    for command in ("tune.py --local --resume", "train.py --local"):
        assert f"{tuning} is not valid JSON: " in damaged.refuses(command)
    assert "--tuning none trains without one" in damaged.refuses("train.py --local")
