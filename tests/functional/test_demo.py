"""`make demo` as a new user runs it: on the digits, and with pictures of their own."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from checkout import Checkout
from classifier.training.hyperparameters import SEARCH_SPACE
from datasets import DIGITS, digit_jpegs

QUICK = "epochs=1 debug=off profile=off"


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "checkout")


def test_the_digits_are_learnt_and_told_apart_over_http(checkout):
    code, out, error = checkout.run("demo/demo.py")
    assert code == 0, out + error
    answers = re.findall(r"^(digit-\d) +(digit-\d) +(\d\.\d+) +\d+\.jpg", out, re.MULTILINE)
    assert [truth for truth, _, _ in answers] == [f"digit-{digit}" for digit in range(10)]
    assert sum(truth == answer for truth, answer, _ in answers) >= 8
    accuracy = re.search(r"test accuracy ([\d.]+) % of 179 images \(95 %: \d+ to \d+\), chance 10\.0 %", out)
    assert float(accuracy[1]) >= 90
    report = Path(re.search(r"^report: (.*)$", out, re.MULTILINE)[1])
    assert "<title>Training report" in report.read_text()
    pdf = re.search(r"^the report as PDF: (.*)$", out, re.MULTILINE)
    assert bool(pdf) == bool(shutil.which("chromium"))
    assert not pdf or Path(pdf[1]).read_bytes().startswith(b"%PDF-")
    runs = checkout.folder / "runs"
    assert DIGITS.images.shape[0] == sum(1 for _ in (runs / "digits").rglob("*.jpg"))
    tuning = Path(re.search(r"^tuning: (.*)$", out, re.MULTILINE)[1])
    assert tuning.read_text().count("<svg") == 0  # two trials are a table
    assert f"with the best hyperparameters of {tuning.parent.name}" in out
    best = json.loads(tuning.with_suffix(".json").read_text())["best"]["hyperparameters"]
    used = json.loads((report.parents[2] / "input/config/hyperparameters.json").read_text())
    assert {name: used[name] for name in SEARCH_SPACE} == {name: best[name] for name in SEARCH_SPACE}
    assert (best["epochs"], used["epochs"]) == ("1", "4")
    assert "the server on this computer is stopped" in out


def test_your_own_pictures(checkout, tmp_path):
    for name, file, image in digit_jpegs((0, 1), 0, 20):
        path = tmp_path / "pictures" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        image.resize((100, 80), Image.Resampling.BICUBIC).save(path)
    code, out, error = checkout.run(f"demo/demo.py --data {tmp_path / 'pictures'} --hyperparameters {QUICK}")
    assert code == 0, out + error
    assert re.search(r"^test accuracy [\d.]+ % of \d+ images \(95 %: \d+ to \d+\), chance 50\.0 %$", out, re.MULTILINE)
    assert re.search(r"^[012] of 2 right$", out, re.MULTILINE)


def test_a_folder_that_is_absent_is_one_sentence(checkout, tmp_path):
    code, _, error = checkout.run(f"demo/demo.py --data {tmp_path / 'absent'}")
    assert code == 1
    assert re.fullmatch(r"demo: .*absent is not a folder; accepted with --local: .*\n", error)
