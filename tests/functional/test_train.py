"""The real container/train in a temporary /opt/ml."""

import csv
import json
import re
import subprocess
import sys

import pytest
import torch
from PIL import Image

from classifier import artifact, network
from classifier.training.metrics import METRICS
from datasets import QUICK, TRAIN, altered_train, digit_jpegs, report_of, train, write_channel, write_hyperparameters
from helpers import encode, photo
from networks import stored_weights
from waits import PATIENCE_S

SAVED = {"model.json", "model.onnx", "model.safetensors", "unlikeness.safetensors"}
FOUR = range(4)
OBSERVED = {"debug": "auto", "profile": "auto"}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def job(module_path):
    """A whole job as on SageMaker: three channels, its configuration files, and odd, damaged and stray images."""
    root = module_path
    for channel, first, last in (("train", 0, 80), ("validation", 80, 110), ("test", 110, 140)):
        write_channel(root, channel, digit_jpegs(FOUR, first, last))
    folder = root / "input/data/train/digit-0"
    whole = (folder / sorted(path.name for path in folder.iterdir())[0]).read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "lost pixels.jpg").write_bytes((lost := encode(photo(200, 200)))[: len(lost) // 2] + lost[-2:])
    (folder / "no end.jpg").write_bytes(whole[:-2])
    Image.open(next(folder.glob("0*.jpg"))).convert("RGBA").save(folder / "alpha.png")
    Image.open(next(folder.glob("0*.jpg"))).convert("CMYK").save(folder / "cmyk.jpg")
    (folder / ".hidden.jpg").touch()
    (root / "input/data/test/digit-1/not an image.png").write_text("text")
    write_hyperparameters(
        root, **QUICK | OBSERVED | {"epochs": 3, "batch_size": '"32"', "_tuning_objective_metric": "x"}
    )
    config = root / "input/config"
    channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    (config / "inputdataconfig.json").write_text(json.dumps(dict.fromkeys(("train", "validation", "test"), channel)))
    resources = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0", "topology": None}
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    result = train(root, TRAINING_JOB_NAME="digits-1")
    assert result.returncode == 0, result.stdout + result.stderr
    return root, result


def test_it_learns(job):
    root, _ = job
    metrics = artifact.read(root / "model").metrics
    assert metrics["validation:accuracy"] > 0.8
    assert metrics["test:accuracy"] > 0.8


def test_the_log_has_every_metric_as_the_regexes_read_it(job):
    root, result = job
    kept = artifact.read(root / "model").metrics
    for metric in METRICS.values():
        values = [float(value) for value in re.findall(metric.regex, result.stdout, re.MULTILINE)]
        # A tuning job takes the last value, which is that of the weights that were kept.
        assert len(values) == {"train": 3, "validation": 4, "test": 1}[metric.name.partition(":")[0]], metric.name
        assert values[-1] == pytest.approx(kept[metric.name], abs=1e-5) or metric.name.startswith("train:")
    lines = [json.loads(line) for line in (root / "output/data/metrics.jsonl").read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None]
    assert set().union(*lines) == {*METRICS, "epoch", "best_epoch"}


def test_the_log_says_what_was_read_and_what_was_not(job):
    _, result = job
    assert "train: 325 images in " in result.stdout
    assert "; passed over: 1 hidden" in result.stdout
    assert result.stdout.count("skipped train image digit-0/truncated.jpg: damaged image: ") == 1
    lost = r"^skipped train image digit-0/lost pixels.jpg: damaged image: the last \d+ of its 200 rows are missing$"
    assert len(re.findall(lost, result.stdout, re.MULTILINE)) == 1
    assert "no end.jpg" not in result.stdout
    assert re.search(
        r"^time of the job: start .*\n(.*\n)*report.html took another \d+\.\d s$", result.stdout, re.MULTILINE
    )
    assert result.stdout.count("skipped test image digit-1/not an image.png: not a JPEG, PNG or WebP image") == 1
    assert result.stderr == ""


def test_the_artifact_is_flat_and_describes_itself(job):
    root, _ = job
    assert {path.name for path in (root / "model").iterdir()} - {"model.int8.onnx"} == SAVED
    about = artifact.read(root / "model")
    assert about.classes == ("digit-0", "digit-1", "digit-2", "digit-3")
    assert about.image_size == 32
    assert about.hyperparameters["batch_size"] == 32
    assert set(about.versions) >= {"python", "torch", "torchvision"}
    assert about.metrics["epoch"] in (1, 2, 3)
    # 8 blocks of two convolutions, 3 of them with another in the shortcut, and the first layer.
    assert len(about.quantization.ranges) == 20
    assert abs(about.quantization.accuracy_lost) < 0.1


def test_the_tested_weights_are_those_of_the_best_epoch(job):
    root, _ = job
    epochs = [json.loads(line) for line in (root / "output/data/metrics.jsonl").read_text().splitlines()][:-1]
    best = max(epochs, key=lambda line: (line["validation:accuracy"], -line["epoch"]))
    assert artifact.read(root / "model").metrics["epoch"] == best["epoch"]


def test_the_outputs_agree_with_each_other(job):
    root, _ = job
    data = root / "output/data"
    assert sorted(path.name for path in data.iterdir()) == [
        "answers.json",
        "debug.json",
        "debughookconfig.json",
        "labels.csv",
        "metrics.jsonl",
        "profile.json",
        "report.html",
        "skipped_images.csv",
        "tensors",
        "test_confusion_matrix.csv",
        "test_per_class.csv",
        "test_predictions.csv",
        "trace.json.gz",
    ]
    predictions = rows(data / "test_predictions.csv")
    assert len(predictions) == 120
    accuracy = sum(row["class"] == row["predicted"] for row in predictions) / len(predictions)
    assert accuracy == pytest.approx(artifact.read(root / "model").metrics["test:accuracy"])
    assert all((root / "input/data/test" / row["file"]).exists() for row in predictions)
    matrix = rows(data / "test_confusion_matrix.csv")
    assert sum(int(row[row["true class \\ predicted"]]) for row in matrix) == round(accuracy * 120)
    assert [row["class"] for row in rows(data / "test_per_class.csv")] == ["digit-0", "digit-1", "digit-2", "digit-3"]
    assert [(row["phase"], row["file"]) for row in rows(data / "skipped_images.csv")] == [
        ("train", "digit-0/lost pixels.jpg"),
        ("train", "digit-0/truncated.jpg"),
        ("test", "digit-1/not an image.png"),
    ]


def test_the_report_is_one_self_contained_page(job):
    root, _ = job
    page = report_of(root)
    assert len(page) < 3_000_000
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "@import" not in page
    for text in ("Loss and accuracy", "Confusion", "digit-0/truncated.jpg", "1 hidden", "batch_size"):
        assert text in page


def test_five_lines_load_the_artifact(job):
    """Those of docs/training.md."""
    root, _ = job
    document = (TRAIN.parents[1] / "docs/training.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", document, re.DOTALL) if "load_state_dict" in block)
    assert len(code.strip().splitlines()) <= 8
    check = "\nimport torch\nassert model(torch.zeros(1, 3, 32, 32)).shape == (1, 4)"
    subprocess.run([sys.executable, "-c", code + check], cwd=root / "model", check=True)


def failure_of(root, result):
    assert result.returncode == 1
    text = (root / "output/failure").read_text()
    assert not (root / "model").exists()
    assert text.strip() in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    return text


def test_a_mistake_of_the_users_is_one_sentence_in_the_failure_file(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 5))
    write_hyperparameters(tmp_path, **QUICK | {"lr": "1e9"})
    assert failure_of(tmp_path, train(tmp_path)) == "hyperparameter lr is '1e9'; accepted: a number from 1e-08 to 10\n"


def test_without_any_input_it_says_what_is_accepted(tmp_path):
    sentence = f"{tmp_path}/input/data has no channel; accepted: a channel train (or training) with a folder per class"
    assert failure_of(tmp_path, train(tmp_path)).startswith(sentence)


def test_pipe_mode_is_refused(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 5))
    write_hyperparameters(tmp_path, **QUICK)
    (tmp_path / "input/config/inputdataconfig.json").write_text('{"train": {"TrainingInputMode": "Pipe"}}')
    assert failure_of(tmp_path, train(tmp_path)) == (
        "channel 'train' has input mode 'Pipe'; accepted: File and FastFile\n"
    )


def test_too_many_unreadable_images_end_the_job(tmp_path):
    folder = write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 10))
    for path in list((folder / "digit-2").iterdir())[:8]:
        path.write_bytes(b"\xff\xd8\xff damaged")
    write_hyperparameters(tmp_path, **QUICK)
    assert re.match(r"\d+ of 32 train images are unreadable, the first ", failure_of(tmp_path, train(tmp_path)))


def test_a_loss_that_is_no_number_ends_the_job(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 40))
    write_hyperparameters(tmp_path, **QUICK | {"optimizer": "sgd", "lr": 10, "weight_decay": 1, "batch_size": 4})
    text = failure_of(tmp_path, train(tmp_path))
    assert re.fullmatch(r"the training loss of epoch 1 is (nan|inf): lr=10 is likely too high\n", text)


def test_an_error_of_ours_has_its_traceback_in_the_failure_file(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 5))
    write_hyperparameters(tmp_path, **QUICK)
    change = "from classifier.training import job; job.make_trainer = lambda *parts: 1 / 0"
    command = [*altered_train(change), "--root", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE_S).returncode == 1
    text = (tmp_path / "output/failure").read_text()
    assert text.startswith("ZeroDivisionError: ")
    assert "Traceback (most recent call last):" in text


def test_a_model_channel_continues_with_other_classes(job, tmp_path):
    root, _ = job
    write_channel(tmp_path, "train", digit_jpegs((4, 5), 0, 20))
    (tmp_path / "input/data/model").symlink_to(root / "model")
    write_hyperparameters(tmp_path, **QUICK | {"trainable": "head", "weights": "imagenet"})
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout
    assert "weights from channel model; a new head" in result.stdout
    new, old = (stored_weights(path / "model") for path in (tmp_path, root))
    assert torch.equal(new["layer4.1.bn2.running_mean"], old["layer4.1.bn2.running_mean"])
    assert artifact.read(tmp_path / "model").classes == ("digit-4", "digit-5")


def test_help_lists_every_hyperparameter_without_reading_anything(tmp_path):
    result = subprocess.run([sys.executable, str(TRAIN), "--help"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 0
    assert "batch_size" in result.stdout
    assert "default 64; accepted: a whole number from 2 to 8192" in result.stdout


def test_the_architecture_is_torchvisions(job):
    root, _ = job
    assert set(stored_weights(root / "model")) == set(network.build(4, 1e-5).state_dict())
