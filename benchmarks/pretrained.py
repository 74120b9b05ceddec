"""Measure what pretrained weights gain: pretrain on half of a data set's classes, fine-tune on the other half.

Usage: python benchmarks/pretrained.py FOLDER [--seeds N]

FOLDER holds train/, validation/ and test/, each with a folder per class. All photos of the first half of the classes
train the pretrained weights, stored in the format of torchvision's own file. The other half is trained from them,
through the channel `pretrained`, and from scratch, with the same hyperparameters and seeds, at each of two learning
rates. Each run is the real container/train. Accuracy is on the validation and test photos together, by which no run
chooses anything.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch

TRAIN = Path(__file__).parents[1] / "container" / "train"
PHASES = ("train", "validation", "test")
COMMON = {"image_size": 64, "batch_size": 16}
PRETRAIN = COMMON | {"weights": "none", "epochs": 60, "lr": 0.001}
FINE_TUNE = COMMON | {"epochs": 10}
LEARNING_RATES = (0.001, 0.0003)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    classes = sorted(path.name for path in (folder / "train").iterdir())
    first, second = classes[: len(classes) // 2], classes[len(classes) // 2 :]
    with tempfile.TemporaryDirectory() as scratch:
        pretrained = pretrain(Path(scratch), folder, first)
        print(f"pretrained on {', '.join(first)}; fine-tuned on {', '.join(second)}, chance {1 / len(second):.2f}")
        print(f"{'lr':<8}{'start':<12}{'mean':>6}  each", flush=True)
        for lr in LEARNING_RATES:
            for start in ("pretrained", "none"):
                accuracies = []
                for seed in range(arguments.seeds):
                    root = Path(scratch, f"{lr}-{start}-{seed}")
                    link(root, "train", folder, ("train",), second)
                    link(root, "test", folder, ("validation", "test"), second)
                    if start == "pretrained":
                        (root / "input/data/pretrained").symlink_to(pretrained)
                    weights = "imagenet" if start == "pretrained" else "none"
                    metrics = train(root, FINE_TUNE | {"weights": weights, "seed": seed, "lr": lr})
                    accuracies.append(metrics["test:accuracy"])
                each = " ".join(f"{accuracy:.2f}" for accuracy in accuracies)
                print(f"{lr:<8}{start:<12}{statistics.mean(accuracies):>6.3f}  {each}", flush=True)


def pretrain(scratch: Path, folder: Path, classes: list[str]) -> Path:
    """Train on `classes`, and return a folder for the channel `pretrained` with the best epoch's weights."""
    link(scratch / "before", "train", folder, PHASES, classes)
    train(scratch / "before", PRETRAIN)
    channel = scratch / "pretrained"
    channel.mkdir()
    torch.save(safetensors.torch.load_file(scratch / "before/model/model.safetensors"), channel / "resnet18.pth")
    return channel


def link(root: Path, channel: str, folder: Path, phases: tuple[str, ...], classes: list[str]) -> None:
    """Make `channel` of `root` from the photos of `classes` in `phases` of `folder`."""
    for name in classes:
        target = root / "input/data" / channel / name
        target.mkdir(parents=True)
        for phase in phases:
            (target / phase).symlink_to(folder / phase / name)


def train(root: Path, hyperparameters: dict) -> dict[str, float]:
    """Run container/train in `root`, and return the artifact's metrics."""
    config = root / "input/config/hyperparameters.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({name: str(value) for name, value in hyperparameters.items()}))
    subprocess.run([sys.executable, TRAIN, "--root", root], check=True, stdout=subprocess.DEVNULL)
    return json.loads((root / "model/model.json").read_text())["metrics"]


if __name__ == "__main__":
    main()
