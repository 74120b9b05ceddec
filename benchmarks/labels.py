"""Measure how well a job finds wrong labels: 5 % of them are changed at random, and labels.csv is held against that.

Usage: python benchmarks/labels.py [--photos PHOTOS] [NAME=VALUE ...]

PHOTOS is a folder per class, or splits with a folder per class; by default the handwritten digits. NAME=VALUE are the
job's hyperparameters. "Top n" are as many of the list's first images as labels were changed.
"""

import argparse
import csv
import random
import shutil
import tempfile
from pathlib import Path

from machine import heading

from classifier.training.data.folders import Dataset, read_dataset
from classifier.training.labels.columns import LABELS_FILE
from local import pictures, programs

SHARE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("hyperparameters", nargs="*", metavar="NAME=VALUE")
    settings = parser.parse_args()
    given = dict(pair.split("=", 1) for pair in settings.hyperparameters)
    folder, defaults = pictures.data_and_defaults(str(settings.photos or ""), image="")
    with tempfile.TemporaryDirectory() as place:
        root, data = Path(place), Path(place) / "data"
        dataset = read_dataset({"train": folder}, seed=0)
        changed = copy_changed(dataset, folder, data)
        programs.prepare_job(root, data, {name: str(value) for name, value in (defaults | given).items()})
        with programs.training(root, image=""):
            pass  # its log has the accuracy
        with (root / "output/data" / LABELS_FILE).open(encoding="utf-8") as file:
            listed = [Path(row["file"]).name for row in csv.DictReader(file)]
    print(f"\n{heading()}\n\n| changed | listed | right in the top n: precision, recall | recall in the top 2 n |")
    print("|---|---|---|---|")
    n, total = len(changed), sum(map(len, dataset.phases))
    first, double = (len(changed & set(listed[:number])) for number in (n, 2 * n))
    precision = first / max(1, min(n, len(listed)))
    print(f"| {n} of {total:,} | {len(listed)} | {precision:.2f}, {first / n:.2f} | {double / n:.2f} |")


def copy_changed(dataset: Dataset, folder: Path, target: Path) -> set[str]:
    """Copy all images to `target`, some of them into another class's folder; return the names of those.

    Every name is a number, so that it says nothing of the class.
    """
    chance, changed, number = random.Random(0), set(), 0
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
