"""Measure how a job's time and memory grow with the number of images and of classes, in jobs of one epoch.

Usage: python benchmarks/growth.py FOLDER [--files N ...] [--classes N ...]

The jobs run container/train. Their images are those in FOLDER/train at 64 px, linked under as many names and in as many
classes as needed, so that decoding stays cheap. 4 of 5 images are trained on; image_size is 32.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import watched
from PIL import Image

FILES, CLASSES = 10_000, 10
VALUES = {"weights": "none", "epochs": 1, "image_size": 32, "batch_size": 64}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--classes", type=int, nargs="*", default=[100, 1_000])
    arguments = parser.parse_args()
    print("| files | classes | s to the first step | s to the end | ms per image in between | peak MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        small = shrink(sorted(arguments.folder.glob("train/*/*")), Path(scratch))
        sizes = [(files, CLASSES) for files in arguments.files] + [(FILES, classes) for classes in arguments.classes]
        for files, classes in sizes:
            root = Path(scratch) / "opt_ml"
            multiply(small, root / "input/data/train", files, classes)
            job = watched.ours(root, **VALUES)
            each = 1000 * (job.end - job.first_step) / files
            print(f"| {files:,} | {classes:,} | {job.first_step:.1f} | {job.end:.1f} ", end="")
            print(f"| {each:.2f} | {job.memory:.0f} |", flush=True)
            shutil.rmtree(root)


def shrink(photos: list[Path], folder: Path) -> list[Path]:
    """Write the photos to `folder` at 64 x 64 pixels, and return their paths."""
    small = []
    for number, photo in enumerate(photos):
        small.append(folder / f"{number}.jpg")
        Image.open(photo).convert("RGB").resize((64, 64)).save(small[-1])
    return small


def multiply(images: list[Path], folder: Path, files: int, classes: int) -> None:
    """Make `files` hard links to `images`, spread evenly over `classes` folders."""
    for number in range(classes):
        (folder / f"{number:04}").mkdir(parents=True)
    for number in range(files):
        os.link(images[number % len(images)], folder / f"{number % classes:04}" / f"{number:06}.jpg")


if __name__ == "__main__":
    main()
