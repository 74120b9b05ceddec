"""Measure what the parts of an answer cost: milliseconds of CPU per image on one core, as a table.

Usage: python benchmarks/parts.py PHOTOS MODEL

PHOTOS is a folder with JPEG files, MODEL a folder with an artifact. Our parts are compared with those of the sample
server: torchvision's usual transforms and its plain network.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the server sets it for itself

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from classifier import artifact, network, quantized
from classifier.images import evaluation_pixels
from classifier.serving.app import Model, create_app
from classifier.serving.batcher import Batcher
from classifier.serving.predictor import Predictor

USUAL: Callable[[Image.Image], torch.Tensor] = transforms.Compose(
    [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
)
BATCHES = (1, 8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = [path.read_bytes() for path in sorted(arguments.photos.rglob("*.jpg"))[:100]]
    about = artifact.read(arguments.model)
    print("| part | ms |\n|---|---|")
    row("decode", lambda: [evaluation_pixels(one, about.image_size) for one in data], len(data))
    row("decode, torchvision's usual transforms", lambda: [usual(one) for one in data], len(data))
    answer_parts(about, data)
    print(f"\n| model | {' | '.join(f'batch of {n}' for n in BATCHES)} |\n|---|{'---|' * len(BATCHES)}")
    pixels = np.stack([evaluation_pixels(one, about.image_size) for one in data[: max(BATCHES)]])
    for name, forward in models(arguments.model, about).items():
        times = [milliseconds(partial(forward, pixels[:n]), n) for n in BATCHES]
        print(f"| {name} | {' | '.join(f'{time:.1f}' for time in times)} |", flush=True)


def answer_parts(about: artifact.Artifact, data: list[bytes]) -> None:
    """Measure what is neither decoding nor the model: the batcher with a model that costs nothing, then the app."""
    row_of_nothing = np.full(len(about.classes), 1 / len(about.classes), np.float32)
    batcher = Batcher(lambda _: lambda pixels: np.stack([row_of_nothing] * len(pixels)), [1], 8)
    blank = np.zeros((about.image_size, about.image_size, 3), np.uint8)
    row("batcher", lambda: [batcher.submit(blank, float("inf")).result() for _ in data], len(data))
    model: Future = Future()
    model.set_result(Model("", about.classes, about.image_size, batcher.submit))
    client = create_app(model, max_payload_mb=25, cores=1).test_client()
    post = partial(client.post, "/invocations", content_type="image/jpeg")
    row("decode, batcher and Flask's test client", lambda: [post(data=one) for one in data], len(data))


def models(folder: Path, about: artifact.Artifact) -> Mapping[str, Callable[[np.ndarray], object]]:
    """Return the networks to compare by name, as functions of pixels (n, size, size, 3)."""
    plain = torchvision.models.resnet18(
        num_classes=len(about.classes), norm_layer=partial(torch.nn.BatchNorm2d, eps=about.eps)
    )
    plain.load_state_dict(artifact.load_weights(folder))
    plain.eval()
    normalize = network.Normalize(about.mean, about.std)

    @torch.inference_mode()
    def unchanged(pixels: np.ndarray) -> torch.Tensor:
        return plain(normalize(torch.from_numpy(pixels)).contiguous()).softmax(1)

    precisions = ["fp32"]
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        precisions.append("bf16")
    if about.quantization and quantized.is_possible(torch.device("cpu")):
        precisions.append(quantized.PRECISION)
    ours = {name: Predictor(folder, about, name).probabilities for name in precisions}
    return {"torchvision's, fp32": unchanged} | ours


def usual(data: bytes) -> torch.Tensor:
    return USUAL(Image.open(io.BytesIO(data)).convert("RGB"))


def row(name: str, function: Callable[[], object], images: int) -> None:
    print(f"| {name} | {milliseconds(function, images):.2f} |", flush=True)


def milliseconds(function: Callable[[], object], images: int) -> float:
    """Return the processor time per image: the least of several calls, since other processes can only slow it down."""
    function()
    times = []
    for _ in range(5):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1000 * min(times) / images


if __name__ == "__main__":
    main()
