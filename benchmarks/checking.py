"""Measure launch/check.py: time and memory for a number of photos, and which changed copies are found as tables.

Usage: python benchmarks/checking.py PHOTOS [--copies 10000]

PHOTOS is a folder per class. Different crops of its photos make up the number. If imagehash is installed, its hashes
are compared with ours.
"""

import argparse
import importlib
import importlib.util
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from machine import heading
from PIL import Image, ImageEnhance, ImageOps

from classifier.training.checking.details import SIDE, are_copies
from classifier.training.checking.duplicates import ALIKE
from classifier.training.checking.findings import find_faults
from classifier.training.checking.looks import THUMBNAIL
from classifier.training.checking.survey import survey
from classifier.training.data.folders import read_dataset
from classifier.words import percent

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG again, quality 30": lambda image: again(image, 30),
    "half its size": lambda image: image.resize([side // 2 for side in image.size]),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "25 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned by 90 degrees": lambda image: image.rotate(90, expand=True),
    "2 % cut off each side": lambda image: cut(image, 0.02),
    "5 % cut off each side": lambda image: cut(image, 0.05),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--copies", type=int, default=10_000)
    parser.add_argument("--only", action="store_true", help="check PHOTOS itself: seconds, CPU seconds, MB")
    settings = parser.parse_args()
    if settings.only:
        started = time.monotonic()
        find_faults(survey(read_dataset({"train": settings.photos}, seed=0)))
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(f"{time.monotonic() - started:.1f} {used.ru_utime + used.ru_stime:.1f} {used.ru_maxrss / 1024:.0f}")
        return
    print(f"{heading()}\n")
    print("| photos | size | seconds | CPU seconds | MB |\n|---|---|---|---|---|")
    for number, side in ((settings.copies // 10, 0), (settings.copies, 0), (settings.copies // 20, 4000)):
        with tempfile.TemporaryDirectory() as folder:
            make_copies(settings.photos, Path(folder), number, side)
            command = [sys.executable, __file__, folder, "--only"]
            measured = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        size = f"{side} x {side * 3 // 4}" if side else "as they are"
        print(f"| {number:,} | {size} | {' | '.join(measured)} |")
    compare_copies(settings.photos)


def make_copies(photos: Path, folder: Path, number: int, side: int) -> None:
    """Write `number` different crops of `photos` to `folder`, enlarged to `side` pixels if that is not 0."""
    files, random = sorted(photos.rglob("*.jpg")), np.random.default_rng(0)
    for count in range(number):
        file = files[count % len(files)]
        image = Image.open(file).convert("RGB")
        left, top = (int(length * random.uniform(0, 0.4)) for length in image.size)
        image = image.crop((left, top, left + int(image.width * 0.6), top + int(image.height * 0.6)))
        image = image.resize((side, side * 3 // 4) if side else [int(length / 0.6) for length in image.size])
        path = folder / file.parent.name / f"{count}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=85)


def compare_copies(photos: Path) -> None:
    """Print which share of changed copies each measure finds, and how many different photos it takes for copies."""
    pictures = [Image.open(file).convert("RGB") for file in sorted(photos.rglob("*.jpg"))[:700]]
    print("\n| measure | " + " | ".join(CHANGES) + " | different photos taken for copies | ms a photo |")
    print("|---" * (len(CHANGES) + 3) + "|")
    row(f"thumbnails of {THUMBNAIL} x {THUMBNAIL}, above {ALIKE}", pictures, thumbnail, lambda a, b: a @ b.T > ALIKE)
    row(f"details of {SIDE} x {SIDE} too", pictures, detailed, are_alike)
    if importlib.util.find_spec("imagehash"):
        imagehash = importlib.import_module("imagehash")
        for name in ("phash", "dhash", "whash"):
            hashed = partial(bits, getattr(imagehash, name))
            row(f"imagehash.{name}, up to 4 of 64 bits differ", pictures, hashed, within_4)


def row(name: str, pictures: list[Image.Image], measure: Callable, alike: Callable) -> None:
    started = time.monotonic()
    own = np.stack([measure(picture) for picture in pictures])
    milliseconds = 1000 * (time.monotonic() - started) / len(pictures)
    some = pictures[:200]
    cells = []
    for change in CHANGES.values():
        changed = np.stack([measure(change(picture)) for picture in some])
        found = alike(changed, own[: len(some)])
        if name.startswith(("thumb", "details")):
            mirrored = changed if changed.ndim == 4 else changed.reshape(-1, THUMBNAIL, THUMBNAIL)
            mirrored = mirrored[:, :, ::-1].reshape(changed.shape)
            found |= alike(mirrored, own[: len(some)])
        cells.append(percent(found.diagonal().mean()))
    pairs = np.triu(alike(own, own), 1)
    print(f"| {name} | {' | '.join(cells)} | {int(pairs.any(0).sum())} | {milliseconds:.2f} |")


def thumbnail(image: Image.Image) -> np.ndarray:
    grey = np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float32).ravel()
    grey = grey - grey.mean()
    return grey / np.linalg.norm(grey)


def detailed(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def are_alike(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which pairs are alike by their thumbnails, made of the details, and by these."""
    small, other_small = (np.stack([thumbnail(Image.fromarray(one)) for one in some]) for some in (ones, others))
    found = small @ other_small.T > ALIKE
    rows, columns = np.nonzero(found)
    found[rows, columns] = are_copies(ones[rows], others[columns])
    return found


def bits(hashed: Callable, image: Image.Image) -> np.ndarray:
    return hashed(image).hash.ravel().astype(np.float32)


def within_4(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ (1 - b).T + (1 - a) @ b.T <= 4


def again(image: Image.Image, quality: int) -> Image.Image:
    with tempfile.TemporaryFile() as file:
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")


def cut(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(width * share), int(height * share), int(width * (1 - share)), int(height * (1 - share))))


if __name__ == "__main__":
    main()
