"""Training beside loops written as torchvision's reference scripts and timm advise, on the same images.

Usage: python benchmarks/training.py FOLDER [--images N] [--image-size N] [--batch-size N] [--steps N]

FOLDER holds train/ with a folder per class; N images of it are used, of every class. Every loader has one process that
reads images, so that its images per second are those of one core; the best of three passes counts. A training is STEPS
steps on both cores, without reading.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torchvision
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).parents[1] / "container"))

from classifier import device, network
from classifier.training.augment import Augmentation
from classifier.training.data import ImageBatches
from classifier.training.evaluate import Compute
from classifier.training.features import FeatureBatches
from classifier.training.folders import Phase, read_dataset
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.model import make_model, split, training_mode
from classifier.training.optimization import make_optimizer

CPU = torch.device("cpu")
PASSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    dataset = read_dataset({"train": arguments.folder.resolve() / "train"}, seed=0)
    phase = some(dataset.train, arguments.images)
    values = {"image_size": arguments.image_size, "batch_size": arguments.batch_size, "weights": "none"}
    hp = Hyperparameters(**values, workers=1)
    print(f"{len(phase)} images, {hp.image_size} px, batches of {hp.batch_size}")
    table("input with one process", "images/s", compare_input(phase, hp))
    table(f"{arguments.steps} training steps", "images/s", compare_steps(len(dataset.classes), hp, arguments.steps))
    table("later epochs of trainable=head", "images/s", compare_head(phase, len(dataset.classes), hp))


def some(phase: Phase, count: int) -> Phase:
    """Every so many of the images."""
    step = max(1, len(phase) // count)
    return dataclasses.replace(phase, files=phase.files[::step], labels=phase.labels[::step])


def table(title: str, unit: str, rows: list[tuple[str, float]]) -> None:
    """Print `rows`; the ratios are to the first one."""
    print(f"\n| {title} | {unit} | times the first |\n|---|---|---|")
    for name, value in rows:
        print(f"| {name} | {value:,.0f} | {value / rows[0][1]:.2f} |", flush=True)


def speed(batches: Callable[[], Iterable], images: int) -> float:
    """Images per second of the quickest of a few passes."""
    best = float("inf")
    for _ in range(PASSES):
        started = time.perf_counter()
        for _batch in batches():
            pass
        best = min(best, time.perf_counter() - started)
    return images / best


def compare_input(phase: Phase, hp: Hyperparameters) -> list[tuple[str, float]]:
    contents = [(phase.folder / file).read_bytes() for file in phase.files]
    ours = ImageBatches(phase, hp, CPU)
    once = ImageBatches(phase, dataclasses.replace(hp, epochs=1), CPU)
    for _ in ours.epoch(1):  # what is kept is kept now
        pass
    return [
        ("as torchvision's reference", speed(reference_loader(phase, hp), len(phase))),
        ("as timm: uint8, normalised in batches", speed(timm_loader(phase, hp), len(phase))),
        ("ours, first epoch", speed(lambda: once.epoch(1), len(phase))),
        ("ours, later epochs", speed(lambda: ours.epoch(2), len(phase))),
        ("bare decode by libjpeg-turbo", speed(lambda: map(bare_decode, contents), len(phase))),
    ]


def bare_decode(data: bytes) -> torch.Tensor:
    return torchvision.io.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))


class Files(torchvision.datasets.ImageFolder):
    """The images of `phase`, as ImageFolder reads them."""

    def __init__(self, phase: Phase, transform: Callable):
        super().__init__(phase.folder, transform)
        files = zip(phase.files, phase.labels, strict=True)
        self.samples = [(str(phase.folder / file), label) for file, label in files]


def reference_loader(phase: Phase, hp: Hyperparameters) -> Callable[[], Iterable]:
    steps = [v2.RandomResizedCrop(hp.image_size, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()]
    steps += [v2.ToDtype(torch.float, scale=True), v2.Normalize(network.MEAN, network.STD), v2.ToPureTensor()]
    return peer_loader(Files(phase, v2.Compose(steps)), hp, torch.utils.data.default_collate)


def timm_loader(phase: Phase, hp: Hyperparameters) -> Callable[[], Iterable]:
    def collate(samples):
        pixels, labels = zip(*samples, strict=True)
        return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)

    steps = [v2.RandomResizedCrop(hp.image_size, antialias=True), v2.RandomHorizontalFlip(), np.array]
    load = peer_loader(Files(phase, v2.Compose(steps)), hp, collate)
    normalize = network.Normalize()
    return lambda: (normalize(pixels) for pixels, _ in load())


def peer_loader(dataset: Files, hp: Hyperparameters, collate: Callable) -> Callable[[], Iterable]:
    options = {"num_workers": 1, "persistent_workers": True, "shuffle": True, "collate_fn": collate}
    loader = torch.utils.data.DataLoader(dataset, hp.batch_size, **options)
    return lambda: loader


def compare_steps(classes: int, hp: Hyperparameters, steps: int) -> list[tuple[str, float]]:
    pixels = torch.randint(0, 256, (hp.batch_size, hp.image_size, hp.image_size, 3), dtype=torch.uint8)
    labels = torch.randint(0, classes, (hp.batch_size,))
    normalize = network.Normalize()
    inputs = normalize(pixels).contiguous()
    auto = device.compute_dtype("auto", CPU)

    def peer(dtype: torch.dtype, memory_format: torch.memory_format) -> float:
        model = torchvision.models.resnet18(num_classes=classes).to(memory_format=memory_format).train()
        optimizer = torch.optim.AdamW(model.parameters())
        fixed = inputs.to(memory_format=memory_format)
        return step_speed(lambda: fixed, model, optimizer, dtype, labels, steps)

    def ours() -> float:
        model = make_model(tuple(map(str, range(classes))), hp, None).train()
        change = Augmentation(hp.augmentation, hp.seed).of(1, 0)
        return step_speed(lambda: normalize(change(pixels)), model, make_optimizer(model, hp), auto, labels, steps)

    return [
        ("plain fp32", peer(torch.float32, torch.contiguous_format)),
        ("plain, with our precision and memory format", peer(auto, torch.channels_last)),
        (f"ours: {auto}", ours()),
    ]


def step_speed(make_inputs, model, optimizer, dtype, labels, steps) -> float:
    def step():
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = model(make_inputs())
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    return speed(lambda: (step() for _ in range(steps)), steps * len(labels))


def compare_head(phase: Phase, classes: int, hp: Hyperparameters) -> list[tuple[str, float]]:
    """A training epoch with the backbone frozen, without augmentation: the ordinary way, and ours."""
    hp = dataclasses.replace(hp, trainable="head", augmentation="none", workers=0)
    compute = Compute(CPU, device.compute_dtype("auto", CPU))
    model = make_model(tuple(map(str, range(classes))), hp, None)
    backbone, head = split(model, "head")
    training_mode(model, "head")
    features = FeatureBatches(phase, hp, backbone, compute, Interrupt())
    next(features.epoch(1))

    def epoch(batches, net) -> Iterable:
        optimizer = make_optimizer(model, hp)
        for batch in batches.epoch(2):
            inputs, labels = compute.move(batch)
            with compute.autocast():
                logits = net(inputs)
            yield torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    images = ImageBatches(phase, hp, CPU)
    return [
        ("the ordinary way, images kept", speed(lambda: epoch(images, model), len(phase))),
        ("ours", speed(lambda: epoch(features, head), len(phase))),
    ]


if __name__ == "__main__":
    main()
