"""The real container/train on folders, files and names as people have them."""

import csv
import os
import re
import shutil
from pathlib import Path

import pytest

from classifier import artifact
from classifier.training.metrics import METRICS
from datasets import QUICK, digit_jpegs, train, write_channel, write_hyperparameters

IMAGES = digit_jpegs((0, 1), 0, 12)


def job(root: Path, *folders: str) -> Path:
    """Lay `root` out for a job whose one channel holds the digits 0 and 1 in each of `folders`; return the channel."""
    write_hyperparameters(root, **QUICK)
    for folder in folders:
        write_channel(root, f"train/{folder}", IMAGES)
    return root / "input/data/train"


def values(log: str, name: str) -> list[str]:
    """Return the values of a metric that a tuning job would read from the log."""
    return [found[1] for line in log.splitlines() if (found := re.search(METRICS[name].regex, line))]


def test_splits_in_a_wrapper_beside_what_systems_leave(tmp_path):
    channel = job(tmp_path, "dogs/Training", "dogs/Testing")
    for folder in ("lost+found", "dogs/$RECYCLE.BIN", "dogs/Training/__pycache__", "dogs/Training/digit-0/@eaDir"):
        (channel / folder).mkdir()
    shutil.copy(next(channel.rglob("*.jpg")), channel / "dogs/Training/digit-0/@eaDir/thumbnail.jpg")
    (channel / "dogs/Training/digit-0/self").symlink_to(".")
    os.mkfifo(channel / "dogs/Training/digit-0/fifo.jpg")
    (channel / "dogs/Training/digit-1/zero.jpg").symlink_to("/dev/zero")
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert artifact.read(tmp_path / "model").classes == ("digit-0", "digit-1")
    assert f"{channel} holds no folder but 'dogs', so that one's folders are taken" in result.stdout
    counts = "passed over: 2 not a regular file, 2 system folder"
    assert f"train: 20 images in {channel}/dogs/Training; {counts}" in result.stdout
    assert f"test: 24 images in {channel}/dogs/Testing\n" in result.stdout


def beside(channel: Path) -> None:
    (channel / "drafts").mkdir()
    shutil.copy(next(channel.rglob("*.jpg")), channel / "drafts")


def link_up(channel: Path) -> None:
    (channel / "train/digit-0/up").symlink_to("..")


def newline(channel: Path) -> None:
    (channel / "train/digit-1").rename(channel / "train/b\nvalidation:accuracy=1.0;")


def level(channel: Path) -> None:
    (channel / "train").rename(channel / "dogs")
    shutil.copytree(channel / "dogs", channel / "cats")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (beside, "{channel}/drafts holds images, but stands beside 'train' and is not named after a phase; "),
        (link_up, "{channel}/train/digit-0/up is a link to {channel}/train, outside the class folder "),
        (newline, r"the folder 'b\nvalidation:accuracy\x3d1.0;' has a control character, "),
        (level, "the data looks to be in {channel}/cats or in {channel}/dogs, so name that folder instead; "),
    ],
)
def test_a_layout_that_would_give_a_wrong_model_is_refused_in_a_sentence(tmp_path, change, said):
    channel = job(tmp_path, "train")
    change(channel)
    result = train(tmp_path)
    assert result.returncode == 1
    (sentence,) = (tmp_path / "output/failure").read_text().splitlines()
    assert said.format(channel=channel) in result.stdout
    assert said.format(channel=channel).replace(r"\x3d", "=") in sentence
    assert values(result.stdout, "validation:accuracy") == []
    assert not (tmp_path / "model").exists()


def test_names_that_nobody_expects_lose_nothing(tmp_path):
    tmp_path /= os.fsdecode(b"of Jos\xe9 $\\frac{$")
    channel = job(tmp_path, "train", "validation")
    for split in ("train", "validation"):
        (channel / split / "digit-0").rename(channel / split / r"$\frac{$")
        (channel / split / "digit-1").rename(channel / split / "_x validation:accuracy=1.0 ÿ")
        for number, file in enumerate(sorted((channel / split).rglob("*.jpg"))):
            file.rename(file.with_name(os.fsdecode(b"%d\xf1\n validation:loss=0.0 .jpg" % number)))
    broken = channel / "validation" / r"$\frac{$" / os.fsdecode(b"\xf1\n validation:macro_f1=1.0 .jpg")
    broken.write_bytes(b"not an image")
    result = train(tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Logging error" not in result.stderr
    assert {name: len(values(result.stdout, name)) for name in METRICS if name.startswith("validation")} == {
        "validation:accuracy": 2,  # of the epoch, and of the best one
        "validation:macro_f1": 2,
        "validation:loss": 2,
    }
    assert artifact.read(tmp_path / "model").classes == (r"$\frac{$", "_x validation:accuracy=1.0 ÿ")
    outputs = tmp_path / "output/data"
    report = (outputs / "report.html").read_text(encoding="utf-8")
    assert r"$\frac{$" in report[report.index("<svg") :]
    assert "the report lacks" not in result.stdout
    with (outputs / "validation_predictions.csv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    assert len(names) == 24
    assert all(r"\udcf1\n validation:loss=0.0 .jpg" in name for name in names)
    assert r"\udcf1\n validation:macro_f1=1.0 .jpg" in (outputs / "skipped_images.csv").read_text(encoding="utf-8")


def test_a_class_without_a_readable_image_ends_the_job(tmp_path):
    channel = job(tmp_path, "train", "validation")
    write_channel(tmp_path, "train/train", digit_jpegs((2,), 0, 2))
    write_channel(tmp_path, "train/validation", digit_jpegs((2,), 2, 3))
    for path in (channel / "train/digit-2").iterdir():
        path.write_bytes(b"not an image")
    assert train(tmp_path).returncode == 1
    assert (tmp_path / "output/failure").read_text().startswith("no train image of the class 'digit-2' is readable, ")
    assert not (tmp_path / "model/model.json").exists()


def test_a_class_that_validation_says_nothing_of_is_named(tmp_path):
    channel = job(tmp_path, "train", "validation", "test")
    write_channel(tmp_path, "train/train", digit_jpegs((2,), 0, 2))
    write_channel(tmp_path, "train/test", digit_jpegs((2,), 2, 3))
    for path in (channel / "test/digit-2").iterdir():
        path.write_bytes(b"not an image")
    result = train(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for phase in ("validation", "test"):
        said = f"1 of 3 classes without a readable {phase} image, which its metrics leave out: 'digit-2'\n"
        assert result.stdout.count(said) == 1


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_validation_that_links_to_images_of_train_is_refused(tmp_path, link):
    channel = job(tmp_path, "train")
    copy = channel / "validation/digit-0/other.jpg"
    copy.parent.mkdir(parents=True)
    (image, *_) = sorted((channel / "train/digit-0").iterdir())
    link(image, copy)
    assert train(tmp_path).returncode == 1
    assert (tmp_path / "output/failure").read_text() == (
        f"{image} and {copy} are the same file; accepted: each image in one class of one phase\n"
    )
