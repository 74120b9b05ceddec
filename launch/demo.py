"""The main job on this computer: train on images, serve the model, send it images it never saw.

Usage: python launch/demo.py [--data FOLDER]

Without FOLDER the images are scikit-learn's handwritten digits, and less than 90 % test accuracy is a failure.
FOLDER has a folder per class, or train/, validation/ and test/ with one.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import local
from pdf import print_to_pdf

sys.path.insert(0, str(local.CONTAINER))

from classifier.errors import UserError
from classifier.training import imagenet
from classifier.training.folders import Phase, read_dataset, split_phase

PLACE = Path(__file__).resolve().parents[1] / "demo"
ROOT = PLACE / "opt_ml"
LEAST_DIGITS_ACCURACY = 0.9
DIGITS = {"weights": "none", "image_size": 32, "epochs": 4, "lr": 0.003, "augmentation": "none"}
# A CPU sees about this many photos of 96 pixels in a minute and a half.
PHOTOS = 5000
PHOTOS_SIZE = 96


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of your own pictures")
    data = parser.parse_args().data
    shutil.rmtree(PLACE, ignore_errors=True)
    try:
        unseen, hyperparameters = write_photos(data.resolve()) if data else write_digits()
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    local.train(ROOT, hyperparameters)
    with local.server(ROOT) as url:
        show_answers(url, unseen)
    about = json.loads((ROOT / "model/model.json").read_text())
    accuracy = about["metrics"]["test:accuracy"]
    print(f"\ntest accuracy {accuracy:.1%}, chance {1 / len(about['classes']):.1%}")
    report = ROOT / "output/data/report.html"
    print(f"report: {report}")
    if pdf := print_to_pdf(report):
        print(f"the same to print: {pdf}")
    if not data and accuracy < LEAST_DIGITS_ACCURACY:
        print(f"demo: the digits' test accuracy is {accuracy:.3f}; expected: {LEAST_DIGITS_ACCURACY}", file=sys.stderr)
        return 1
    return 0


def write_digits() -> tuple[list[tuple[str, Path]], dict]:
    """Write the digits as JPEGs to the channels train and test, and one of each class elsewhere, never trained on."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    unseen = {}
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        name = f"digit-{digit}"
        if name not in unseen:
            path = unseen[name] = PLACE / "unseen" / name / f"{number:04}.jpg"
        else:
            path = ROOT / "input/data" / ("test" if number % 10 == 0 else "train") / name / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype("uint8")).resize((64, 64)).save(path)
    return sorted(unseen.items()), DIGITS


def write_photos(folder: Path) -> tuple[list[tuple[str, Path]], dict]:
    """Link the photos of `folder` into the channels; without a test set, a part of every class is set aside as one."""
    dataset = read_dataset({"train": folder}, seed=0)
    train, validation, test = dataset.train, dataset.validation, dataset.test
    if test is None:
        train, test = split_phase(train, seed=0)
    channels = {"train": train, "validation": validation, "test": test}
    for channel, phase in channels.items():
        for file in phase.files:
            link = ROOT / "input/data" / channel / file
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(phase.folder / file)
    start = "imagenet" if (imagenet.FOLDER / imagenet.FILE).exists() else "none"
    epochs = min(20, max(1, PHOTOS // len(train)))
    hyperparameters = {"weights": start, "image_size": PHOTOS_SIZE, "epochs": epochs, "batch_size": 32}
    return first_of_each_class(dataset.classes, test), hyperparameters


def first_of_each_class(classes: tuple[str, ...], phase: Phase) -> list[tuple[str, Path]]:
    first = {}
    for label, file in zip(phase.labels, phase.files, strict=True):
        first.setdefault(classes[label], phase.folder / file)
    return sorted(first.items())


def show_answers(url: str, images: list[tuple[str, Path]]) -> None:
    """Send each image to the server, and print its answer beside the truth."""
    width = max(len(name) for name, _ in images)
    print(f"\n{'truth':<{width}}  {'answer':<{width}}  probability")
    right = 0
    for truth, path in images:
        best = local.predict(url, path.read_bytes())[0]
        right += best["class"] == truth
        print(f"{truth:<{width}}  {best['class']:<{width}}  {best['probability']:.3f}  {path.name}")
    print(f"{right} of {len(images)} right")


if __name__ == "__main__":
    sys.exit(main())
