"""Measure how often each engine and precision finds the plain fp32 network's class, and how far off it is at most.

Usage: python benchmarks/exactness.py PHOTOS MODEL

PHOTOS has a folder of JPEG files per class, which training has not seen; MODEL is an artifact with model.onnx and
model.int8.onnx. The plain network is torchvision's, with the artifact's weights and temperature.
"""

import argparse
from pathlib import Path

import arguments
import machine
import models
import numpy as np

from classifier import artifact
from classifier.images import evaluation_pixels

BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=arguments.photos)
    parser.add_argument("model", type=arguments.prepared_model)
    given = parser.parse_args()
    about = artifact.read(given.model)
    photos = [path for path in sorted(given.photos.rglob("*.jpg")) if path.parent.name in about.classes]
    pixels = np.stack([evaluation_pixels(photo.read_bytes(), about.image_size) for photo in photos])
    truth = np.array([about.classes.index(photo.parent.name) for photo in photos])
    found = {name: classify(name, given.model, pixels) for name in models.names(given.model)}
    expected = found[models.PLAIN]
    print(f"{machine.heading()}; {len(photos)} photos of {len(about.classes)} classes\n")
    print("| model | accuracy | the plain network's class | largest error of a probability | of 99 % of the photos |")
    print("|---|---|---|---|---|")
    for name, probabilities in found.items():
        accuracy, same = ((probabilities.argmax(1) == wanted).mean() for wanted in (truth, expected.argmax(1)))
        errors = np.abs(probabilities - expected).max(1)
        print(f"| {name} | {accuracy:.3f} | {same:.3f} | {errors.max():.1e} | {np.quantile(errors, 0.99):.1e} |")


def classify(name: str, folder: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities (n, classes) by a row of models.py."""
    forward = models.load(name, folder, machine.CORES)
    return np.concatenate([forward(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


if __name__ == "__main__":
    main()
