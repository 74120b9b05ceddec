"""The main job on this computer: tune, train on images, serve the model, send it images it never saw.

Usage: python launch/demo.py [--data FOLDER]

Without FOLDER the images are scikit-learn's handwritten digits, and less than 90 % test accuracy is a failure.
FOLDER has a folder per class, or train/, validation/ and test/ with one.
"""

import argparse
import json
import shutil
from pathlib import Path

import local
import local_tuning
import places
import settings
from asking import classify, to_url
from classifier.training.folders import Phase, read_dataset, split_phase
from console import run, show, table
from digits import UNSEEN, write_digits
from pdf import print_to_pdf
from trials import as_texts, watching

PLACE = places.ROOT / "demo"
# Short, and within what does well on few images: the demo shows how tuning works.
TRIALS = {"max_jobs": 2, "early_stopping": "Off", "ranges": {"lr": [0.001, 0.004], "batch_size": [32, 64]}}
TRIAL = {"epochs": 1, "debug": "off", "profile": "off"}
LEAST_DIGITS_ACCURACY = 0.9
# A CPU sees about this many photos of 96 pixels in a minute and a half.
PHOTOS = 5000
PHOTOS_SIZE = 96


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of your own pictures")
    own = parser.parse_args().data
    shutil.rmtree(PLACE, ignore_errors=True)
    if own:
        data, unseen, hyperparameters = write_photos(own.resolve())
    else:
        data, hyperparameters = write_digits(PLACE / "digits"), local.DIGITS
        unseen = {path.parent.name: path for path in sorted((PLACE / "digits" / UNSEEN).rglob("*.jpg"))}
    root = PLACE / "opt_ml"
    local.prepare(root, data, as_texts(hyperparameters | tune(data, hyperparameters)))
    local.train(root)
    with local.server(root) as url:
        show_answers(url, unseen)
    about = json.loads((root / "model/model.json").read_text())
    accuracy = about["metrics"]["test:accuracy"]
    print(f"\ntest accuracy {accuracy:.1%}, chance {1 / len(about['classes']):.1%}")
    report = root / "output/data/report.html"
    print(f"report: {report}")
    if pdf := print_to_pdf(report):
        print(f"the same to print: {pdf}")
    if not own and accuracy < LEAST_DIGITS_ACCURACY:
        raise places.UserError(f"the digits' test accuracy is {accuracy:.3f}; expected: {LEAST_DIGITS_ACCURACY}")
    return 0


def tune(data: Path, hyperparameters: dict[str, object]) -> dict[str, str]:
    """The best hyperparameters of two short trials; prints their table and the page's path."""
    given = settings.parser("", "aws", "training", "tuning").parse_args([])
    vars(given).update(TRIALS, hyperparameters=hyperparameters | TRIAL)
    with watching() as tell:
        tuning = local_tuning.tune(PLACE / "tuning", given, data, tell)
    show(tuning.table())
    print(f"tuning: {tuning.save(PLACE / 'tuning')}")
    return {name: tuning.best.hyperparameters[name] for name in tuning.tuned} if tuning.best else {}


def write_photos(folder: Path) -> tuple[Path, dict[str, Path], dict[str, object]]:
    """Link the photos of `folder` by phase; without a test set, a part of every class is set aside as one.

    Returns the folder of links, a test photo of each class, and hyperparameters.
    """
    dataset = read_dataset({"train": folder}, seed=0)
    train, validation, test = dataset.train, dataset.validation, dataset.test
    if test is None:
        train, test = split_phase(train, seed=0)
    for name, phase in {"train": train, "validation": validation, "test": test}.items():
        for file in phase.files:
            link = PLACE / "photos" / name / file
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(phase.folder / file)
    _, start = local.data_and_defaults(str(folder), image="")
    epochs = min(20, max(1, PHOTOS // len(train)))
    return (
        PLACE / "photos",
        first_of_each_class(dataset.classes, test),
        start
        | {
            "image_size": PHOTOS_SIZE,
            "epochs": epochs,
        },
    )


def first_of_each_class(classes: tuple[str, ...], phase: Phase) -> dict[str, Path]:
    first = {}
    for label, file in zip(phase.labels, phase.files, strict=True):
        first.setdefault(classes[label], phase.folder / file)
    return first


def show_answers(url: str, images: dict[str, Path]) -> None:
    """Send each image to the server, and print its answer beside the truth."""
    rows, right = [], 0
    for truth, path in sorted(images.items()):
        best = classify(str(path), path.read_bytes(), to_url(url))["predictions"][0]
        right += best["class"] == truth
        rows.append((truth, best["class"], f"{best['probability']:.3f}", path.name))
    show(table(("truth", "answer", "probability", "file"), rows))
    print(f"{right} of {len(images)} right")


if __name__ == "__main__":
    run(main)
