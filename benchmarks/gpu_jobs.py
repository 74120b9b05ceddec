"""Whole jobs on the GPU: epochs of 10,000 photos, the hook's cost, and where the time of a job goes."""

import json
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


def link(photos: Path, root: Path, images: int = IMAGES) -> Path:
    """Make the channels of a job, with links to the photos as often as needed, and return `root`."""
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
            target = root / "input/data" / channel / source.parent.name / f"{place:05}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source.resolve())
    return root


def measure(where: torch.device, photos: Path) -> Iterator[tuple]:
    """Yield the tables."""
    rows, parts = [], []
    for name, values in JOBS.items():
        dtype = gpu_steps.DTYPES[values["precision"]]
        n = VALUES["batch_size"]
        bare = gpu_steps.images_per_second(gpu_steps.bare_step(where, dtype, n), n, where)
        with tempfile.TemporaryDirectory() as scratch:
            root = link(photos, Path(scratch))
            job = watched.ours(root, **VALUES | values)
            first, *later = speeds(root)
            later_speed = sum(later) / len(later)
            rows.append((name, first, later_speed, bare, later_speed / bare, job.first_step, job.end, job.memory))
            parts += [(name, part, seconds) for part, seconds in spans(root).items()]
    columns = ("job", "first epoch", "later epochs", "bare step", "of bare", "s to the first step", "s in all", "MB")
    yield f"{VALUES['epochs']} epochs of {IMAGES:,} photos, images/s", columns, rows
    yield "where the time of a job goes", ("job", "part", "s"), parts


def speeds(root: Path) -> list[float]:
    """Return the images/s of each epoch."""
    lines = map(json.loads, (root / "output/data/metrics.jsonl").read_text().splitlines())
    return [line["train:images_per_second"] for line in lines if "epoch" in line]


def spans(root: Path) -> dict[str, float]:
    """Return the seconds of each part of a job that was profiled."""
    return json.loads((root / "output/data/profile.json").read_text())["spans"]
