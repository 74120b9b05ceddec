"""Measure what the parts of an answer cost besides the model: milliseconds of CPU per image on one core, as a table.

Usage: python benchmarks/parts.py PHOTOS MODEL

PHOTOS is a folder with JPEG files, MODEL a folder with an artifact. Our decoder is compared with those of the peers and
of AWS's sample, whose transforms are torchvision's usual ones.
"""

import argparse
import io
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import arguments
import machine
import models
import numpy as np
import torch
from peers import decoders
from PIL import Image
from torchvision import transforms

from classifier import artifact
from classifier.images import evaluation_pixels
from classifier.serving.app import create_app
from classifier.serving.batcher import Batcher
from classifier.serving.model import Model
from classifier.serving.share import Share

USUAL: Callable[[Image.Image], torch.Tensor] = transforms.Compose(
    [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=arguments.photos)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = [path.read_bytes() for path in sorted(given.photos.rglob("*.jpg"))[:100]]
    about = artifact.read(given.model)
    print(f"{machine.heading()}; {len(data)} photos\n\n| part | CPU ms |\n|---|---|")
    ways = {
        "ours": lambda one: evaluation_pixels(one, about.image_size),
        "Pillow": lambda one: decoders.by_pillow(one, about.image_size),
        "OpenCV": lambda one: decoders.by_opencv(one, about.image_size),
        "Pillow and torchvision's usual transforms": lambda one: USUAL(Image.open(io.BytesIO(one)).convert("RGB")),
    }
    for name, decode in ways.items():
        print_row(f"decode: {name}", partial(decode_all, decode, data), len(data))
    print_answer_parts(about, data)


def decode_all(decode: Callable[[bytes], object], data: list[bytes]) -> None:
    for one in data:
        decode(one)


def print_answer_parts(about: artifact.Artifact, data: list[bytes]) -> None:
    """Measure what is neither decoding nor the model: the batcher with a model that costs nothing, then the app."""
    row_of_nothing = np.full(len(about.classes), 1 / len(about.classes), np.float32)
    batcher = Batcher(lambda _: lambda pixels: np.stack([row_of_nothing] * len(pixels)), [1], 8)
    blank = np.zeros((about.image_size, about.image_size, 3), np.uint8)
    print_row("batcher", lambda: [batcher.submit(blank, float("inf")).result() for _ in data], len(data))
    model: Future = Future()
    model.set_result(Model("", about.classes, about.image_size, batcher.submit))
    client = create_app(model, max_payload_mb=25, share=Share(1)).test_client()
    post = partial(client.post, "/invocations", content_type="image/jpeg")
    print_row("decode, batcher and Flask's test client", lambda: [post(data=one) for one in data], len(data))


def print_row(name: str, function: Callable[[], object], images: int) -> None:
    print(f"| {name} | {models.least_cpu_ms(function) / images:.2f} |", flush=True)


if __name__ == "__main__":
    main()
