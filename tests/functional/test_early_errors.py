"""What is wrong with arguments or data is said at once, by the path that the user typed, before anything is made."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from checkout import ROOT
from datasets import TRAIN, altered_train, digit_jpegs, touch_images, write_channel, write_hyperparameters

# Of the processor, which other programs do not lengthen; importing torch alone takes more.
MOST_SECONDS = 2
LATER = (
    "import os, sys; end = os._exit; os._exit = lambda code: "
    "(print('with torch' if 'torch' in sys.modules else 'without torch', flush=True), end(code))"
)


def seconds_of(command: list[str], folder: Path) -> tuple[float, str]:
    """Return the processor's time and the output of a command that fails."""
    before = os.times()
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    after = os.times()
    assert result.returncode == 1, result.stdout + result.stderr
    taken = after.children_user - before.children_user + after.children_system - before.children_system
    return taken, result.stdout + result.stderr


def one_class(root):
    write_channel(root, "train", digit_jpegs([3], 0, 4))


def bad_hyperparameter(root):
    write_channel(root, "train", digit_jpegs([3, 4], 0, 4))
    write_hyperparameters(root, learning_rate=0.1)


def given(channel, **files):
    """Return what prepares a job with images, and with a channel of these files for the weights."""

    def prepare(root):
        write_channel(root, "train", digit_jpegs([3, 4], 0, 4))
        folder = root / "input/data" / channel
        folder.mkdir()
        for name, data in files.items():
            (folder / name.replace("_", ".")).write_bytes(data)

    return prepare


def zip_of(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"w/{name}.pkl", data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (given("pretrained"), "channel 'pretrained' has no file; accepted: one .pth, .pt or .safetensors file"),
        (given("pretrained", model_h5=b"x"), "channel 'pretrained' has 'model.h5'; accepted: one .pth"),
        (given("pretrained", w_pth=b"<!DOCTYPE html>"), "w.pth is not a readable file of weights: it is a web page"),
        (given("pretrained", w_pth=b""), "w.pth is not a readable file of weights: it is an empty file"),
        (given("pretrained", w_pth=b"\x1f\x8b\x08"), "it is packed with gzip"),
        (given("pretrained", w_pth=zip_of(data=b"x" * 99)[:60]), "it is damaged (File is not a zip file)"),
        (given("pretrained", w_pth=zip_of(data=b"x" * 99).replace(b"xx", b"xy", 1)), "it is damaged (w/data.pkl)"),
        (given("pretrained", w_pth=zip_of(notes=b"")), "it is a zip archive of something else"),
        (given("pretrained", w_pth=zip_of(data=b"", constants=b"")), "it is a TorchScript program"),
        (given("pretrained", w_safetensors=b"\xff" * 99), "it is damaged (Error while deserializing header"),
        (given("pretrained", w_safetensors=zip_of(data=b"")), "it is a zip archive; accepted: tensors by name"),
        (given("model"), "no model artifact in "),
        (given("model", model_json=b"{"), "model.json is not valid JSON"),
        (given("model", **{"model_tar_gz": b"PK\x03\x04"}), "model.tar.gz is packed with zip; accepted: a tar file"),
        (given("other"), "'other'"),
        (lambda root: None, "/input/data has no channel; accepted: a channel train"),
        (one_class, "has 1 class folder"),
        (bad_hyperparameter, "learning_rate"),
        (lambda root: touch_images(root / "input/data/other", a=1, b=1), "'other'"),
    ],
)
def test_a_job_says_it_before_torch_is_imported(tmp_path, prepare, sentence):
    prepare(tmp_path)
    command = altered_train(f"{LATER}; sys.path.insert(0, {str(TRAIN.parent)!r})")
    seconds, output = seconds_of([*command, "--root", str(tmp_path)], tmp_path)
    assert sentence in (tmp_path / "output/failure").read_text()
    assert output.endswith("without torch\n"), output
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize("script", ["train.py --tuning none", "tune.py"])
@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--data nowhere", "nowhere is not a folder; "),
        ("--data photos", "photos has 1 class folder"),
        ("--data photos/a/000.jpg", "photos/a/000.jpg is not a folder; "),
        ("--data photos epochs=x", "hyperparameter epochs is 'x'; "),
    ],
)
def test_a_script_names_the_path_that_was_typed_and_makes_nothing(tmp_path, script, flags, sentence):
    touch_images(tmp_path / "photos", a=0)
    (tmp_path / "photos/a/000.jpg").touch()
    runs = ROOT / "runs"
    before = set(runs.glob("*"))
    command = f"{sys.executable} {ROOT}/launch/{script} --local {flags}"
    seconds, output = seconds_of(command.split(), tmp_path)
    assert output.startswith(f"{script.partition('.')[0]}: {sentence}"), output
    assert output.count("\n") == 1 and str(tmp_path) not in output
    assert seconds < MOST_SECONDS
    assert set(runs.glob("*")) == before
