"""Training beside loops as torchvision's reference scripts and timm's advise, on the same images.

Usage: python benchmarks/training.py FOLDER [--images N] [--image-size N] [--batch-size N] [--epochs N]

FOLDER holds train/ with a folder per class; N images of it are used, of every class, and of validation a fifth as many.
Input: every loader has one process that reads images, so that its images per second are those of one core; the best
of three passes counts. Whole trainings are programs of their own, from start to end, on all cores.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torchvision
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "container"))

from peers.training import timm_loader, torchvision_loader

import jobs
from classifier import device
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
# So many of the images are also read at a camera's size.
LARGE, TIMES = 60, 4
PEERS = Path(__file__).parent / "peers" / "training.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "input/data"
        for part, images in (("train", arguments.images), ("validation", arguments.images // 5)):
            link(arguments.folder.resolve() / part, data / part, images)
        phase = read_dataset({"train": data / "train", "validation": data / "validation"}, seed=0).train
        values = {"image_size": arguments.image_size, "batch_size": arguments.batch_size, "weights": "none"}
        hp = Hyperparameters(**values, workers=1)
        print(f"{len(phase)} images, {hp.image_size} px, batches of {hp.batch_size}")
        compare_input("images/s with one process that reads", phase, hp)
        enlarge(data / "train", Path(scratch) / "large", LARGE)
        large = read_dataset({"train": Path(scratch) / "large"}, seed=0).train
        compare_input(f"the same from {len(large)} of them, enlarged {TIMES} times", large, hp)
        compare_head(phase, hp)
        compare_trainings(Path(scratch), len(phase), values | {"epochs": arguments.epochs})


def link(source: Path, target: Path, count: int) -> None:
    """Make `target` of `count` of the images in `source`, evenly taken."""
    files = sorted(source.glob("*/*"))
    for file in files[:: max(1, len(files) // count)][:count]:
        (target / file.parent.name).mkdir(parents=True, exist_ok=True)
        (target / file.parent.name / file.name).symlink_to(file)


def enlarge(source: Path, target: Path, count: int) -> None:
    """As link, but larger."""
    link(source, target, count)
    for path in target.glob("*/*"):
        image = Image.open(path).convert("RGB")
        path.unlink()
        image.resize([TIMES * side for side in image.size], Image.Resampling.BICUBIC).save(path, "JPEG", quality=90)


def table(columns: Iterable[str], rows: Iterable[tuple]) -> None:
    print(f"\n| {' | '.join(columns)} |\n{'|---' * len(list(columns))}|")
    for name, *values in rows:
        print(f"| {name} | {' | '.join(values)} |", flush=True)


def seconds(batches: Iterable) -> float:
    """How long a pass takes."""
    started = time.perf_counter()
    for _batch in batches:
        pass
    return time.perf_counter() - started


def compare_input(title: str, phase: Phase, hp: Hyperparameters) -> None:
    shape = phase.folder, hp.image_size, hp.batch_size, 1
    contents = [(phase.folder / file).read_bytes() for file in phase.files]
    makers = {
        "as torchvision's reference": lambda: iter_of(torchvision_loader(*shape)),
        "as timm": lambda: iter_of(timm_loader(*shape)),
        "ours": lambda: ImageBatches(phase, hp, CPU).epoch,
        "bare decode by libjpeg-turbo": lambda: lambda _epoch: map(bare_decode, contents),
    }
    speeds = {}
    for name, make in makers.items():
        fresh = [make() for _ in range(PASSES)]
        first = min(seconds(epoch(1)) for epoch in fresh)
        later = min(seconds(fresh[-1](number + 2)) for number in range(PASSES))
        speeds[name] = len(phase) / first, len(phase) / later
    reference = speeds["as torchvision's reference"]
    rows = [
        (name, f"{first:,.0f}", f"{first / reference[0]:.2f}", f"{later:,.0f}", f"{later / reference[1]:.2f}")
        for name, (first, later) in speeds.items()
    ]
    table((title, "first epoch", "times", "later epochs", "times"), rows)


def iter_of(loader: Iterable) -> Callable[[int], Iterable]:
    return lambda _epoch: loader


def bare_decode(data: bytes) -> torch.Tensor:
    return torchvision.io.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))


def compare_head(phase: Phase, hp: Hyperparameters) -> None:
    """A later training epoch with the backbone frozen, without augmentation: the ordinary way, and ours."""
    hp = dataclasses.replace(hp, trainable="head", augmentation="none", workers=0)
    compute = Compute(CPU, device.compute_dtype("auto", CPU))
    model = make_model(tuple(map(str, range(1 + max(phase.labels)))), hp, None)
    backbone, head = split(model, "head")
    training_mode(model, "head")
    features, images = FeatureBatches(phase, hp, backbone, compute, Interrupt()), ImageBatches(phase, hp, CPU)

    def epoch(number, batches, network, dtype) -> Iterable:
        optimizer = make_optimizer(model, hp)
        for batch in batches.epoch(number):
            inputs, labels = compute.move(batch)
            with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
                logits = network(inputs)
            yield torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    ways = {
        "the ordinary way, fp32": (images, model, torch.float32),
        "the ordinary way, our precision": (images, model, compute.dtype),
        "ours": (features, head, compute.dtype),
    }
    speeds = {}
    for name, way in ways.items():
        first, *later = (seconds(epoch(number, *way)) for number in range(1, 2 + PASSES))
        speeds[name] = len(phase) / first, len(phase) / min(later)
    plain = speeds["the ordinary way, fp32"][1]
    rows = [(name, f"{one:,.0f}", f"{later:,.0f}", f"{later / plain:.1f}") for name, (one, later) in speeds.items()]
    table(("images/s with trainable=head", "first epoch", "later epochs", "times"), rows)


def compare_trainings(root: Path, images: int, values: dict) -> None:
    command = [sys.executable, str(PEERS)]
    options = [f"--{name.replace('_', '-')}={values[name]}" for name in ("epochs", "image_size", "batch_size")]
    found = {}
    for name in ("torchvision", "timm"):
        for more in ([], ["--our-precision"]):
            title = f"as {name}{', our precision and memory format' if more else ', fp32'}"
            found[title] = jobs.watch([*command, name, str(root / "input/data"), *options, *more])
    found["ours"] = jobs.ours(root, **values)
    # Another seed, or it would go on where the one before ended.
    found["ours, debug=off and profile=off"] = jobs.ours(root, **values, debug="off", profile="off", seed=1)
    speeds = {name: images * values["epochs"] / (job.epochs - job.first_step) for name, job in found.items()}
    plain = next(iter(speeds.values()))
    rows = [
        (name, *(f"{x:,.1f}" for x in (speeds[name], speeds[name] / plain, job.first_step, job.end, job.memory)))
        for name, job in found.items()
    ]
    columns = "images/s", "times", "s to the first step", "s to the end", "peak MB"
    table((f"{values['epochs']} epochs with validation", *columns), rows)


if __name__ == "__main__":
    main()
