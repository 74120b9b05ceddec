"""The profiler's findings, each in a real job that causes it.

Findings about a GPU need one: tests/unit/training/profiling/test_findings.py has them with made-up numbers.
"""

import json

import pytest
from PIL import Image

from classifier.training.debugging.config import Intervals, write_config
from datasets import DIGITS, QUICK, digit_jpegs, report_of, train, write_channel, write_hyperparameters


def photos(count):
    """Yield large pictures, which take long to decode."""
    for number in range(count):
        image = Image.fromarray((DIGITS.images[number] * 15).astype("uint8")).convert("RGB")
        yield f"digit-{number % 2}", f"{number:04}.png", image.resize((1600, 1600), Image.Resampling.BICUBIC)


def profile_of(root, environ=None, **hyperparameters):
    write_hyperparameters(root, **QUICK | {"workers": 0, "debug": "auto", "profile": "auto"} | hyperparameters)
    result = train(root, **environ or {})
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    profile = json.loads((root / "output/data/profile.json").read_text())
    for finding in profile["findings"]:
        assert f"profile: {finding}" in result.stdout
    return profile, report_of(root)


def has(findings, words):
    return any(words in finding for finding in findings)


@pytest.fixture(scope="module")
def waiting(module_path):
    write_channel(module_path, "train", photos(24))
    write_channel(module_path, "validation", photos(2))
    return profile_of(module_path, batch_size=2, debug="off")


def test_a_step_that_waits_for_large_images(waiting):
    profile, report = waiting
    assert has(profile["findings"], "of the time of the steps is waiting for images: ")
    assert not has(profile["findings"], "hook")
    assert not has(profile["findings"], "Validation takes")
    assert "of the time of the steps is waiting for images: " in report


def test_every_phase_is_timed_and_traced(waiting):
    profile, report = waiting
    assert profile["why"] is None
    assert {"data wait", "copy", "forward", "backward", "optimizer"} <= set(profile["steps"][0])
    parts = {"start", "first batches", "waiting", "steps", "validation", "saving", "labels", "int8", "end", "other"}
    assert set(profile["spans"]) == parts
    assert "Time of the job" in report
    assert profile["samples"]
    assert has([row["operator"] for row in profile["operators"]], "convolution")
    assert "Slowest operators" in report


def test_a_job_that_saves_more_than_it_trains(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(range(2), 0, 2))
    write_channel(tmp_path, "validation", digit_jpegs(range(2), 2, 3))
    hyperparameters = {"epochs": 4, "objective": "validation:loss", "lr": 0.0001}
    profile, _ = profile_of(tmp_path, batch_size=4, debug="off", **hyperparameters)
    assert has(profile["findings"], "Saving the model takes ")
    assert not has(profile["findings"], "Validation takes ")


def test_a_short_job_on_a_cpu_that_saves_every_step_and_validates_more_than_it_trains(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(range(2), 0, 8))
    write_channel(tmp_path, "validation", digit_jpegs(range(2), 8, 90))
    each = Intervals(1, 1)
    config = tmp_path / "input/config/debughookconfig.json"
    write_config(config, tmp_path / "tensors", {"train": each, "eval": each})
    profile, _ = profile_of(tmp_path, batch_size=2, epochs=2)
    findings = profile["findings"]
    assert has(findings, "Validation takes ")
    assert has(findings, "The debugging hook takes ")
    assert has(findings, "computes, on ")
    assert not has(findings, "waiting for images")


def test_profiling_can_be_turned_off(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(range(2), 0, 8))
    profile, report = profile_of(tmp_path, batch_size=8, profile="off", debug="off")
    assert (profile["why"], profile["steps"], profile["findings"]) == ("profile=off", [], [])
    assert "Profiling was off: profile=off" in report
    assert "The hook was off: debug=off" in report
    assert sorted(path.name for path in (tmp_path / "output/data").iterdir() if "validation" not in path.name) == [
        "answers.json",
        "debug.json",
        "labels.csv",
        "metrics.jsonl",
        "profile.json",
        "report.html",
        "skipped_images.csv",
    ]
