"""The real container/train in a temporary /opt/ml."""

import csv
import itertools
import json
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from classifier import artifact, network
from classifier.training.metrics import METRICS
from datasets import QUICK, TRAIN, digit_jpegs, train, write_channel, write_hyperparameters

FOUR = range(4)
OBSERVED = {"debug": "auto", "profile": "auto"}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A whole job with all that SageMaker adds: three channels, configuration files, odd, damaged and stray files."""
    root = tmp_path_factory.mktemp("job")
    for channel, first, last in (("train", 0, 80), ("validation", 80, 110), ("test", 110, 140)):
        write_channel(root, channel, digit_jpegs(FOUR, first, last))
    folder = root / "input/data/train/digit-0"
    whole = (folder / sorted(path.name for path in folder.iterdir())[0]).read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
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
    for metric in METRICS.values():
        values = [float(value) for value in re.findall(metric.regex, result.stdout, re.MULTILINE)]
        assert len(values) == (1 if metric.name.startswith("test:") else 3), metric.name
    lines = [json.loads(line) for line in (root / "output/data/metrics.jsonl").read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None]
    assert set().union(*lines) == {*METRICS, "epoch", "best_epoch"}


def test_the_log_says_what_was_read_and_what_was_not(job):
    _, result = job
    assert "train: 323 images in " in result.stdout
    assert "; passed over: 1 hidden" in result.stdout
    assert result.stdout.count("skipped train image digit-0/truncated.jpg: damaged image: ") == 1
    assert result.stdout.count("skipped test image digit-1/not an image.png: not a JPEG, PNG or WebP image") == 1
    assert result.stderr == ""


def test_the_artifact_is_flat_and_describes_itself(job):
    root, _ = job
    assert sorted(path.name for path in (root / "model").iterdir()) == ["model.json", "model.safetensors"]
    about = artifact.read(root / "model")
    assert about.classes == ("digit-0", "digit-1", "digit-2", "digit-3")
    assert about.image_size == 32
    assert about.hyperparameters["batch_size"] == 32
    assert set(about.versions) >= {"python", "torch", "torchvision"}
    assert about.metrics["epoch"] in (1, 2, 3)


def test_the_tested_weights_are_those_of_the_best_epoch(job):
    root, _ = job
    epochs = [json.loads(line) for line in (root / "output/data/metrics.jsonl").read_text().splitlines()][:-1]
    best = max(epochs, key=lambda line: (line["validation:accuracy"], -line["epoch"]))
    assert artifact.read(root / "model").metrics["epoch"] == best["epoch"]


def test_the_outputs_agree_with_each_other(job):
    root, _ = job
    data = root / "output/data"
    assert sorted(path.name for path in data.iterdir()) == [
        "debug.json",
        "debughookconfig.json",
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
        ("train", "digit-0/truncated.jpg"),
        ("test", "digit-1/not an image.png"),
    ]


def test_the_report_is_one_self_contained_page(job):
    root, _ = job
    page = (root / "output/data/report.html").read_text()
    assert len(page) < 3_000_000
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "@import" not in page
    for text in ("Loss and accuracy", "Confusion", "digit-0/truncated.jpg", "1 hidden", "batch_size"):
        assert text in page


def test_five_lines_load_the_artifact(job):
    """Those of the README."""
    root, _ = job
    readme = (TRAIN.parents[1] / "README.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "load_state_dict" in block)
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
    assert failure_of(tmp_path, train(tmp_path)).startswith("no input channel with images; accepted: a channel train")


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
    (tmp_path / "model").write_text("a file where SageMaker mounts a folder")
    result = train(tmp_path)
    assert result.returncode == 1
    text = (tmp_path / "output/failure").read_text()
    assert text.startswith("FileExistsError: ")
    assert "Traceback (most recent call last):" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_the_best_weights_so_far(tmp_path, number):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 40))
    write_hyperparameters(tmp_path, **QUICK | OBSERVED | {"epochs": 1000})
    process = start(tmp_path)
    wait_for(process, "epoch 2/1000")
    process.send_signal(number)
    asked = time.monotonic()
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert time.monotonic() - asked < 60
    epoch = artifact.read(tmp_path / "model").metrics["epoch"]
    assert re.search(rf"stopped by {number.name} after \d+ whole epochs: .*weights of epoch {epoch}\n", output)
    assert "stopped by" in (tmp_path / "output/data/report.html").read_text()


def test_a_signal_in_the_first_epoch_keeps_the_weights_there_are(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(range(10), 0, 170))
    write_hyperparameters(tmp_path, **QUICK | {"image_size": 224, "batch_size": 8})
    process = start(tmp_path)
    wait_for(process, "a random start")
    time.sleep(8)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert re.search(r"no epoch was whole, so the artifact has the weights of step \d+, not validated", output)
    assert artifact.read(tmp_path / "model").metrics == {}
    assert (tmp_path / "output/data/report.html").exists()


def test_a_signal_before_the_first_step_leaves_no_artifact(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 40))
    write_hyperparameters(tmp_path, **QUICK)
    process = start(tmp_path)
    time.sleep(0.5)  # while it imports
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert "stopped by SIGTERM after 0 whole epochs: no step was done, so there is no artifact" in output
    assert not (tmp_path / "model").exists()


def start(root):
    command = [sys.executable, str(TRAIN), "--root", str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(process, text):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the job ended before {text!r}")


def test_the_same_seed_gives_the_same_weights(tmp_path):
    weights = []
    for name, seed, workers in (("one", 7, 0), ("two", 7, 2), ("three", 8, 0)):
        write_channel(tmp_path / name, "train", digit_jpegs(FOUR, 0, 10))
        write_hyperparameters(
            tmp_path / name, **QUICK | {"seed": seed, "workers": workers, "augmentation": "strong", "batch_size": 8}
        )
        assert train(tmp_path / name).returncode == 0
        weights.append((tmp_path / name / "model/model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_early_stopping(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 20))
    write_hyperparameters(tmp_path, **QUICK | {"epochs": 50, "lr": 1e-8, "early_stopping_patience": 2})
    result = train(tmp_path)
    assert result.returncode == 0
    assert "no better validation:accuracy since epoch " in result.stdout
    assert len((tmp_path / "output/data/metrics.jsonl").read_text().splitlines()) < 20


def test_every_choice_trains(tmp_path):
    """The values that the other tests leave out, in one job."""
    write_channel(tmp_path, "train", [*digit_jpegs([0], 0, 30), *digit_jpegs([1, 2], 0, 10)])
    choices = {"optimizer": "sgd", "precision": "bf16", "class_weights": "balanced", "label_smoothing": 0.1}
    more = {"objective": "validation:loss", "trainable": "layer2", "eps": 1e-9, "report_images": "false"}
    write_hyperparameters(tmp_path, **QUICK | {"augmentation": "strong"} | choices | more)
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "matrix products in torch.bfloat16" in result.stdout
    assert "no validation channel: 20 % of each class of train set aside" in result.stdout
    page = (tmp_path / "output/data/report.html").read_text()
    assert "Measured on the validation images" in page
    assert "data:image/jpeg" not in page
    assert (tmp_path / "output/data/validation_predictions.csv").exists()
    assert artifact.read(tmp_path / "model").eps == 1e-9


def test_fp16_scales_the_loss(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 20))
    write_hyperparameters(tmp_path, **QUICK | {"precision": "fp16", "epochs": 2})
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "matrix products in torch.float16" in result.stdout


@pytest.mark.timeout(300)
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
            torch.save(artifact.load_weights(before / "model"), root / "input/data/pretrained/resnet18.pth")
        few = {"weights": weights, "epochs": 3, "batch_size": 8, "lr": 0.0003, "seed": seed}
        write_hyperparameters(root, **QUICK | few)
        result = train(root)
        assert result.returncode == 0, result.stdout
        accuracy[weights] += artifact.read(root / "model").metrics["test:accuracy"] / 2
    assert accuracy["imagenet"] > accuracy["none"] + 0.1, accuracy


def test_a_model_channel_continues_with_other_classes(job, tmp_path):
    root, _ = job
    write_channel(tmp_path, "train", digit_jpegs((4, 5), 0, 20))
    (tmp_path / "input/data/model").symlink_to(root / "model")
    write_hyperparameters(tmp_path, **QUICK | {"trainable": "head"})
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout
    assert "weights from channel model; a new head" in result.stdout
    new, old = (artifact.load_weights(path / "model") for path in (tmp_path, root))
    assert torch.equal(new["layer4.1.bn2.running_mean"], old["layer4.1.bn2.running_mean"])
    assert artifact.read(tmp_path / "model").classes == ("digit-4", "digit-5")


def test_help_lists_every_hyperparameter_without_reading_anything(tmp_path):
    result = subprocess.run([sys.executable, str(TRAIN), "--help"], capture_output=True, text=True, timeout=10)
    assert result.returncode == 0
    assert "batch_size" in result.stdout
    assert "default 64; accepted: a whole number from 2 to 8192" in result.stdout


def test_the_architecture_is_torchvisions(job):
    root, _ = job
    assert set(artifact.load_weights(root / "model")) == set(network.build(4, 1e-5).state_dict())
