"""Sick and healthy jobs in the real container/train: each sickness is found by its rule and by no other."""

import json
import re
import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import network
from datasets import QUICK, digit_jpegs, report_of, train, write_channel, write_hyperparameters

TEN = range(10)


def patterns(strength: float, count: int, seed: int) -> list[tuple[str, str, Image.Image]]:
    """Return four classes of coloured patches under noise: `strength` 1 is plain to see, 0.1 nearly invisible."""
    classes = np.random.default_rng(0).normal(0, 60, (4, 4, 4, 3))
    random = np.random.default_rng(seed)
    images = []
    for number in range(4 * count):
        patches = classes[number % 4].repeat(8, 0).repeat(8, 1)
        pixels = 128 + strength * patches + random.normal(0, 60, patches.shape)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        images.append((f"pattern-{number % 4}", f"{number:04}.jpg", image))
    return images


def shuffled(images, seed):
    """Return the same images with shuffled labels."""
    labels = [label for label, _, _ in images]
    np.random.default_rng(seed).shuffle(labels)
    return [(label, file, image) for label, (_, file, image) in zip(labels, images, strict=True)]


def without_signal(root: Path) -> None:
    """Write weights to start from whose batch normalisation multiplies everything by 0."""
    model = network.build(10, eps=1e-5)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.zeros_(module.weight)
    folder = root / "input/data/pretrained"
    folder.mkdir(parents=True)
    torch.save(model.state_dict(), folder / "zero.pth")


@dataclass
class Job:
    """`found` is the rule that must find the cause, `consequences` are rules that may find its effects."""

    images: dict[str, list]
    hyperparameters: dict[str, object]
    found: str | None = None
    consequences: set[str] = field(default_factory=set)
    prepare: object = None
    returncode: int = 0


DIGITS = {"train": digit_jpegs(TEN, 0, 16), "validation": digit_jpegs(TEN, 16, 20)}
PATTERNS = {"train": patterns(1, 32, 1), "validation": patterns(1, 12, 2)}
AFTER_DIVERGING = {"ExplodingTensor", "DeadRelu", "VanishingGradient", "LossNotDecreasing", "Overfit", "Overtraining"}
JOBS = {
    "healthy digits": Job(DIGITS, {"epochs": 4}),
    "healthy patterns": Job(PATTERNS, {"epochs": 4}),
    "healthy, and nearly learnt before the first look": Job(
        {"train": digit_jpegs((0, 1), 0, 60), "validation": digit_jpegs((0, 1), 60, 68)}, {"epochs": 4, "seed": 3}
    ),
    "healthy, of small batches and few validation images": Job(
        {"train": digit_jpegs((0, 1, 2), 0, 50), "validation": digit_jpegs((0, 1, 2), 50, 58)},
        {"epochs": 6, "seed": 8, "batch_size": 4},
    ),
    "lr far too high": Job(DIGITS, {"lr": 3}, "LearningRateTooHigh", AFTER_DIVERGING),
    "lr so high that the loss is no number": Job(
        PATTERNS,
        {"lr": 10, "optimizer": "sgd", "weight_decay": 1},
        "LearningRateTooHigh",
        AFTER_DIVERGING,
        returncode=1,
    ),
    "lr near 0": Job(DIGITS, {"lr": 1e-7}, "LossNotDecreasing"),
    "random labels": Job(
        {"train": shuffled(DIGITS["train"][::2], 1), "validation": shuffled(DIGITS["validation"], 2)},
        {"epochs": 10},
        "Overfit",
        {"LossNotDecreasing"},
    ),
    "a bad initialisation": Job(
        DIGITS,
        {"weights": "imagenet"},
        "PoorWeightInitialization",
        {"VanishingGradient", "DeadRelu", "LossNotDecreasing"},
        without_signal,
    ),
    "tiny data until overfit": Job(
        {"train": patterns(0.15, 5, 1), "validation": patterns(0.15, 12, 2)},
        {"epochs": 15, "batch_size": 10},
        "Overfit",
    ),
}


NEEDED = {"test_the_failure_of_a_job_that_diverges_names_the_rule": ["lr so high that the loss is no number"]}


def run(root: Path, job: Job) -> subprocess.CompletedProcess[str]:
    for channel, images in job.images.items():
        write_channel(root, channel, images)
    values = QUICK | {"batch_size": 16, "lr": 0.001, "epochs": 2, "workers": 0, "debug": "auto"}
    write_hyperparameters(root, **values | job.hyperparameters)
    if job.prepare:
        job.prepare(root)
    result = train(root)
    shutil.rmtree(root / "checkpoints", ignore_errors=True)  # most of a job's bytes on the disk
    return result


@pytest.fixture(scope="module")
def jobs(request, module_path) -> dict[str, tuple[Path, Future]]:
    """The jobs of the chosen tests, two at a time: each uses one core."""
    here = [item for item in request.session.items if item.path == request.path]
    named = [item.callspec.params["name"] for item in here if hasattr(item, "callspec")]
    chosen = dict.fromkeys([*named, *(name for item in here for name in NEEDED.get(item.name, ()))])
    with ThreadPoolExecutor(2) as pool:
        roots = {name: module_path / str(number) for number, name in enumerate(chosen)}
        yield {name: (root, pool.submit(run, root, JOBS[name])) for name, root in roots.items()}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_found_sick_or_healthy(jobs, name):
    root, future = jobs[name]
    result, job = future.result(), JOBS[name]
    assert result.returncode == job.returncode, result.stdout + result.stderr
    debug = json.loads((root / "output/data/debug.json").read_text())
    assert (debug["hook"], debug["rules_error"]) == ("on", None)
    found = {verdict["rule"]: verdict for verdict in debug["rules"] if verdict["status"] == "found"}
    assert {rule for rule, verdict in found.items() if not verdict["cause"]} == ({job.found} - {None}), found
    assert found.keys() <= {job.found} | job.consequences, found
    others = {verdict["status"] for verdict in debug["rules"] if verdict["rule"] not in found}
    assert others <= {"not found", "too early to say", "gone"}
    for rule, verdict in found.items():
        assert verdict["evidence"]
        assert verdict["advice"]
        assert f"rule {rule} at training step {verdict['step']}: {verdict['evidence']}" in result.stdout
        assert verdict["evidence"][1:] in report_of(root)


def test_stop_on_rule_ends_the_job_and_says_why(tmp_path):
    """The report is still written, and SageMaker shows the failure file."""
    job = Job(DIGITS, {"lr": 3, "epochs": 50, "stop_on_rule": "LearningRateTooHigh"})
    result = run(tmp_path, job)
    assert result.returncode == 1
    failure = (tmp_path / "output/failure").read_text()
    assert failure.startswith("stop_on_rule: rule LearningRateTooHigh at training step ")
    assert "Lower lr" in failure
    assert result.stdout.count("epoch ") < 40
    report = report_of(tmp_path)
    assert "the job failed: stop_on_rule: rule LearningRateTooHigh" in report
    assert json.loads((tmp_path / "output/data/debug.json").read_text())["rules"][0]["status"] == "found"


def test_the_failure_of_a_job_that_diverges_names_the_rule(jobs):
    root, future = jobs["lr so high that the loss is no number"]
    future.result()
    failure = (root / "output/failure").read_text()
    assert re.match("the (training|validation) loss of epoch ", failure)
    assert "lr=10 is likely too high; rule LearningRateTooHigh at training step " in failure
