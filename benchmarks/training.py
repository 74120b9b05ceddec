"""Compare training with loops like torchvision's reference scripts and timm's, on the same images.

Usage: python benchmarks/training.py FOLDER [--images N] [--image-size N] [--batch-size N] [--epochs N]

FOLDER holds train/ and validation/ with a folder per class; N images of train are used, from all classes, and a fifth
as many of validation. reading.py compares the input. Whole trainings are separate processes on all cores, from start to
end.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import reading
import torch
import watched
from reading import PASSES, link, seconds, table

from classifier import device, memory
from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches
from classifier.training.data.folders import Phase, read_dataset
from classifier.training.features import FeatureBatches
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.model import make_model, set_training_mode, split
from classifier.training.optimization import make_optimizer
from classifier.training.profiling.profiler import NoProfiler
from classifier.training.step import Step

CPU = torch.device("cpu")
OUR_COMPUTE = Compute(CPU, device.compute_dtype("auto", CPU))
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
        reading.compare(phase, hp, Path(scratch) / "large")
        compare_head(phase, hp)
        compare_steps(phase, hp)
        compare_trainings(Path(scratch), len(phase), values | {"epochs": arguments.epochs})


def compare_head(phase: Phase, hp: Hyperparameters) -> None:
    """Compare epochs with the backbone frozen and without augmentation: the ordinary way, and ours."""
    hp = dataclasses.replace(hp, trainable="head", augmentation="none", workers=0)
    compute = OUR_COMPUTE
    model = make_model(tuple(map(str, range(1 + max(phase.labels)))), hp, None)
    backbone, head = split(model, "head")
    assert backbone, "trainable=head has a frozen backbone"
    set_training_mode(model, "head")
    features, images = FeatureBatches(phase, hp, backbone, compute, Interrupt()), ImageBatches(phase, hp, compute)

    def epoch(number, batches, network, dtype) -> Iterable:
        optimizer = make_optimizer(model, hp)
        for batch in batches.epoch(number):
            inputs, labels = compute.inputs(batch.inputs), compute.move(batch.labels)
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


def compare_steps(phase: Phase, hp: Hyperparameters) -> None:
    """Measure the upper bound of any loop: forward, backward and optimiser on the same batch, without reading."""
    classes = tuple(map(str, range(1 + max(phase.labels))))
    pixels = torch.randint(256, (hp.batch_size, hp.image_size, hp.image_size, 3), dtype=torch.uint8)
    labels = torch.randint(len(classes), (hp.batch_size,))
    rows = []
    for name, compute in (("plain fp32", Compute(CPU, torch.float32)), ("our precision and memory", OUR_COMPUTE)):
        model = make_model(classes, hp, None)
        inputs = compute.inputs(pixels)
        if compute is OUR_COMPUTE:
            memory.keep_all()
        else:
            inputs = inputs.contiguous()
            model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]  # missing in torch's overloads
        step = Step(model, torch.nn.CrossEntropyLoss(), make_optimizer(model, hp), compute, NoProfiler("measured here"))
        steps = (step.take(inputs, labels, share=1.0, lr=hp.lr) for _ in range(1 + PASSES))
        next(steps)
        rows.append((name, PASSES * hp.batch_size / seconds(steps)))
    table(("steps alone", "images/s", "times"), ((name, f"{x:.1f}", f"{x / rows[0][1]:.1f}") for name, x in rows))


def compare_trainings(root: Path, images: int, values: dict) -> None:
    command = [sys.executable, str(PEERS)]
    options = [f"--{name.replace('_', '-')}={values[name]}" for name in ("epochs", "image_size", "batch_size")]
    found = {}
    for name in ("torchvision", "timm"):
        for more in ([], ["--our-precision"]):
            title = f"as {name}{', our precision and memory format' if more else ', fp32'}"
            found[title] = watched.watch([*command, name, str(root / "input/data"), *options, *more])
    found["ours"] = watched.ours(root, **values)
    # Another seed, or it would resume from the checkpoint of the previous run.
    found["ours, debug=off and profile=off"] = watched.ours(root, **values, debug="off", profile="off", seed=1)
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
