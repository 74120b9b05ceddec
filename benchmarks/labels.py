"""Measure how well a job finds wrong labels, and cleanlab on the same model: 5 % of the labels are changed at random.

Usage: .venv-bench/bin/python benchmarks/labels.py [--photos PHOTOS] [NAME=VALUE ...]

PHOTOS is a folder per class, or splits with a folder per class; by default the handwritten digits. NAME=VALUE are the
job's hyperparameters. "Top n" are as many of a list's first images as labels were changed.
"""

import argparse
import csv
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from machine import heading
from peers import wrong_labels

from classifier import artifact, network
from classifier.images import evaluation_pixels
from classifier.training.data.folders import Dataset, Phase, read_dataset
from classifier.training.labels.columns import LABELS_FILE
from classifier.training.labels.suspects import leave_one_out
from local import pictures, programs

SHARE = 0.05
AT_ONCE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of which labels are changed")
    parser.add_argument("hyperparameters", nargs="*", metavar="NAME=VALUE")
    settings = parser.parse_args()
    given = dict(pair.split("=", 1) for pair in settings.hyperparameters)
    folder, defaults = pictures.data_and_defaults(str(settings.photos or ""), image="")
    with tempfile.TemporaryDirectory() as place:
        root, data = Path(place), Path(place) / "data"
        changed = copy_changed(read_dataset({"train": folder}, seed=0), folder, data, settings.seed)
        programs.prepare_job(root, data, {name: str(value) for name, value in (defaults | given).items()})
        with programs.training(root, image=""):
            pass  # its log has the accuracy
        with (root / "output/data" / LABELS_FILE).open(encoding="utf-8") as file:
            listed = [Path(row["file"]).name for row in csv.DictReader(file)]
        # In the job's own splits.
        dataset = read_dataset({"train": data}, seed=int(given.get("seed", 0)))
        others = dict(lists_by_cleanlab(root / "model", dataset))
    total = sum(map(len, dataset.phases))
    print(f"\n{heading()}; {len(changed)} of {total:,} labels changed\n")
    print("| list | images | right in the top n: precision, recall | recall in the top 2 n |\n|---|---|---|---|")
    for name, names in {"the job's labels.csv": listed, **others}.items():
        print_row(name, names, changed)


def print_row(name: str, listed: list[str], changed: set[str]) -> None:
    n = len(changed)
    first, double = (len(changed & set(listed[:number])) for number in (n, 2 * n))
    precision = first / max(1, min(n, len(listed)))
    print(f"| {name} | {len(listed):,} | {precision:.2f}, {first / n:.2f} | {double / n:.2f} |")


def lists_by_cleanlab(model: Path, dataset: Dataset) -> Iterator[tuple[str, list[str]]]:
    """Yield cleanlab's lists of file names, each with its name."""
    names = np.array([Path(file).name for phase in dataset.phases for file in phase.files])
    outputs = {phase.name: run(model, phase) for phase in dataset.phases}
    train = dataset.phase("train")
    alone = leave_one_out(outputs["train"][0], torch.tensor(train.labels), len(dataset.classes))
    features = torch.cat([features for features, _ in outputs.values()])
    probabilities = torch.cat([alone if name == "train" else own for name, (_, own) in outputs.items()])
    labels = np.concatenate([np.array(phase.labels) for phase in dataset.phases])
    for name, order in wrong_labels.lists(labels, features.numpy(), probabilities.numpy()):
        yield name, names[order].tolist()


@torch.inference_mode()
def run(folder: Path, phase: Phase) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and probabilities of all images of `phase`."""
    about = artifact.read(folder)
    model, normalize = network.load(about, artifact.read_weights(folder, about)), network.Normalize()
    paths = [phase.folder / file for file in phase.files]

    def features(some: Iterable[Path]) -> torch.Tensor:
        pixels = np.stack([evaluation_pixels(path.read_bytes(), about.image_size) for path in some])
        return model.features(normalize(torch.tensor(pixels)))

    found = torch.cat([features(paths[first : first + AT_ONCE]) for first in range(0, len(paths), AT_ONCE)])
    return found, (model.fc(found) / about.temperature).softmax(1)


def copy_changed(dataset: Dataset, folder: Path, target: Path, seed: int) -> set[str]:
    """Copy all images to `target`, some of them into another class's folder; return the names of those.

    Every name is a number, so that it says nothing of the class.
    """
    chance, changed, number = random.Random(seed), set(), 0
    for phase in dataset.phases:
        for file in phase.files:
            source, number = phase.folder / file, number + 1
            name, own = f"{number:05}{source.suffix}", source.parent
            if chance.random() < SHARE:
                own = own.with_name(chance.choice([one for one in dataset.classes if one != own.name]))
                changed.add(name)
            place = target / own.relative_to(folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
    return changed


if __name__ == "__main__":
    main()
