"""Measure how often a faster precision finds another class than plain fp32, and the time to decode a large photo.

Usage: python benchmarks/exactness.py PHOTOS MODEL

PHOTOS has a folder of JPEG files per class; MODEL is a folder with a trained artifact. The plain model is
torchvision's. The sample server's transform is torchvision's usual one: it decodes all pixels, then Resize and
CenterCrop.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from classifier import artifact, network
from classifier.images import evaluation_pixels
from classifier.serving.predictor import Predictor

LARGE = (4000, 3000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    photos = sorted(arguments.photos.rglob("*.jpg"))
    compare_precisions(arguments.model, photos)
    compare_decoding(photos[0])


def compare_precisions(model: Path, photos: list[Path]) -> None:
    about = artifact.read(model)
    pixels = np.stack([evaluation_pixels(photo.read_bytes(), about.image_size) for photo in photos])
    truth = np.array([about.classes.index(photo.parent.name) for photo in photos])
    plain = torchvision.models.resnet18(
        num_classes=len(about.classes), norm_layer=partial(torch.nn.BatchNorm2d, eps=about.eps)
    )
    plain.load_state_dict(artifact.load_weights(model))
    normalize = network.Normalize(about.mean, about.std)
    with torch.inference_mode():
        batches = torch.from_numpy(pixels).split(20)
        expected = torch.cat([plain.eval()(normalize(batch)).softmax(1) for batch in batches]).numpy()
    accuracy = (expected.argmax(1) == truth).mean()
    print(f"{len(photos)} photos, {len(about.classes)} classes; plain: accuracy {accuracy:.3f}")
    for precision in ("fp32", "bf16", *(["int8"] if about.quantization else [])):
        predictor = Predictor(model, about, precision)
        found = np.concatenate([predictor.probabilities(batch.numpy()) for batch in batches])
        accuracy, same = (found.argmax(1) == truth).mean(), (found.argmax(1) == expected.argmax(1)).mean()
        print(
            f"{precision}: accuracy {accuracy:.3f}, the plain model's class in {same:.1%}, probabilities within "
            f"{np.abs(found - expected).max():.1e}"
        )


def compare_decoding(photo: Path) -> None:
    stream = io.BytesIO()
    Image.open(photo).convert("RGB").resize(LARGE, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    usual = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    ours = milliseconds(lambda: evaluation_pixels(data, 224))
    theirs = milliseconds(lambda: usual(Image.open(io.BytesIO(data)).convert("RGB")))
    size = f"{LARGE[0] * LARGE[1] / 1e6:.0f} megapixels, {len(data) / 1e6:.1f} MB"
    print(f"{size}: ours {ours:.0f} ms, the sample server's {theirs:.0f} ms, {theirs / ours:.1f} times as long")


def milliseconds(function: Callable[[], object]) -> float:
    """Return the median processor time of several calls."""
    times = []
    for _ in range(9):
        start = time.process_time()
        function()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


if __name__ == "__main__":
    main()
