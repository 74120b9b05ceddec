"""Whole jobs on the GPU: epochs of 10,000 photos, the hook's cost, and where the time of a job goes."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gpu_steps
import numpy as np
import torch
import watched
from PIL import Image

PHOTOS, CLASSES, IMAGES, VALIDATION = 500, 10, 10_000, 300
VALUES = {"weights": "none", "epochs": 5, "batch_size": 256, "lr": 0.001, "stop_on_rule": "none"}
JOBS = {
    "fp16": {"precision": "fp16"},
    "bf16": {"precision": "bf16"},
    "fp16, debug=off and profile=off": {"precision": "fp16", "debug": "off", "profile": "off"},
}


def make_photos(folder: Path, number: int = PHOTOS) -> Path:
    """Write JPEGs of 500 x 375 pixels with the detail of photos, a folder for each class, and return `folder`."""
    random = np.random.default_rng(0)
    for place in range(number):
        few = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(few).resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        grain = random.normal(0, 8, image.shape)
        path = folder / f"class-{place % CLASSES}" / f"{place:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


def make_channels(photos: Path, folder: Path, images: int = IMAGES) -> Path:
    """Write the channels of a job, with copies of the photos as often as needed, and return `folder`.

    Training takes a file with several names once, so links would not do.
    """
    files = sorted(photos.rglob("*.jpg"))
    tenths = [files[place::10] for place in range(10)]  # no photo may be in two channels
    channels = (
        ("train", images, sum(tenths[2:], [])),
        ("validation", VALIDATION, tenths[0]),
        ("test", VALIDATION, tenths[1]),
    )
    for channel, number, sources in channels:
        for place in range(number):
            source = sources[place % len(sources)]
            target = folder / channel / source.parent.name / f"{place:05}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return folder


def measure(where: torch.device, photos: Path) -> Iterator[tuple]:
    """Yield the tables."""
    rows, parts, n = [], [], VALUES["batch_size"]
    with tempfile.TemporaryDirectory() as scratch:
        few = make_channels(photos, Path(scratch) / "few", images=2 * n)
        data = make_channels(photos, Path(scratch) / "data")
        for name, values in JOBS.items():
            run(few, VALUES | values | {"epochs": 1})  # warms up: libraries are read, and kernels chosen
            bare = gpu_steps.images_per_second(
                gpu_steps.bare_step(where, gpu_steps.DTYPES[values["precision"]], n), n, where
            )
            job, (first, *later), seconds = run(data, VALUES | values)
            speed = sum(later) / len(later)
            rows.append((name, first, speed, bare, speed / bare, job.first_step, job.end, job.memory))
            parts += [(name, part, spent) for part, spent in seconds.items()]
    columns = ("job", "first epoch", "later epochs", "bare step", "of bare", "s to the first step", "s in all", "MB")
    yield f"{VALUES['epochs']} epochs of {IMAGES:,} photos, images/s", columns, rows
    yield "where the time of a job goes", ("job", "part", "s"), parts


def run(data: Path, values: dict) -> tuple[watched.Job, list[float], dict[str, float]]:
    """Return a job on the channels in `data`, the images/s of its epochs, and the seconds of its parts."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "input").mkdir()
        (root / "input/data").symlink_to(data.resolve())
        job = watched.ours(root, **values)
        return job, speeds(root), spans(root)


def speeds(root: Path) -> list[float]:
    """Return the images/s of each epoch."""
    lines = map(json.loads, (root / "output/data/metrics.jsonl").read_text().splitlines())
    return [line["train:images_per_second"] for line in lines if "epoch" in line]


def spans(root: Path) -> dict[str, float]:
    """Return the seconds of each part of a job that was profiled."""
    return json.loads((root / "output/data/profile.json").read_text())["spans"]
