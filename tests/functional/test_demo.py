"""`make demo` as a new user runs it, with pictures of their own; on the digits .ci/run and people run it themselves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from datasets import DIGITS, digit_jpegs

DEMO = Path(__file__).parents[2] / "launch" / "demo.py"


pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the demo uses, so that it does not write into this checkout."""
    for name in ("container", "launch"):
        shutil.copytree(DEMO.parents[1] / name, tmp_path / "checkout" / name, ignore=shutil.ignore_patterns("weights"))
    return tmp_path / "checkout"


def demo(checkout, *arguments):
    command = [sys.executable, str(checkout / "launch/demo.py"), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_digits_are_learnt_and_told_apart_over_http(checkout):
    result = demo(checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    answers = re.findall(r"^(digit-\d)  (digit-\d)  (\d\.\d+)  \d+\.jpg$", result.stdout, re.MULTILINE)
    assert [truth for truth, _, _ in answers] == [f"digit-{digit}" for digit in range(10)]
    assert sum(truth == answer for truth, answer, _ in answers) >= 8
    assert float(re.search(r"test accuracy ([\d.]+)%, chance 10\.0%", result.stdout)[1]) >= 90
    report = Path(re.search(r"^report: (.*)$", result.stdout, re.MULTILINE)[1])
    assert report.read_text().startswith("<!doctype html>")
    pdf = re.search(r"^the same to print: (.*)$", result.stdout, re.MULTILINE)
    assert bool(pdf) == bool(shutil.which("chromium"))
    assert not pdf or Path(pdf[1]).read_bytes().startswith(b"%PDF-")
    assert DIGITS.images.shape[0] == sum(1 for _ in (checkout / "demo").rglob("*.jpg"))


@pytest.mark.parametrize("layout", ["a folder per class", "train, valid and test"])
def test_your_own_pictures(checkout, tmp_path, layout):
    phases = (
        {"": (0, 30)} if layout == "a folder per class" else {"train": (0, 20), "valid": (20, 25), "test": (25, 30)}
    )
    for phase, (first, last) in phases.items():
        for name, file, image in digit_jpegs((0, 1), first, last):
            path = tmp_path / "pictures" / phase / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            image.resize((100, 80), Image.Resampling.BICUBIC).save(path)
    result = demo(checkout, "--data", tmp_path / "pictures")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^test accuracy [\d.]+%, chance 50\.0%$", result.stdout, re.MULTILINE)
    assert re.search(r"^[012] of 2 right$", result.stdout, re.MULTILINE)


def test_a_folder_that_is_none_is_one_sentence(checkout, tmp_path):
    result = demo(checkout, "--data", tmp_path / "absent")
    assert result.returncode == 1
    assert re.fullmatch(r"demo: .*absent, the train images, is not a folder; accepted: .*\n", result.stderr)
