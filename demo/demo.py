"""Run the launch scripts on this computer one after another: tune, train, deploy, predict unseen images, clean up.

Usage: python demo/demo.py [--data FOLDER] [--hyperparameters NAME=VALUE ...]

The default images are scikit-learn's handwritten digits; with these, less than 90 % test accuracy is a failure.
FOLDER has a folder per class, or train/, validation/ and test/ with a folder per class.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from launch import boot  # noqa: F401 # goes on in .venv, whatever Python started this

import argparse
import csv
import json
import shutil
import subprocess

from classifier.errors import UserError
from classifier.training import shares
from classifier.training.data.folders import read_dataset, split_phase
from classifier.words import percent
from launch import console
from launch.settings import TABLE, path
from local import children, pictures, places, programs, tables
from local.digits import UNSEEN
from local.pdf import print_to_pdf
from local.search import as_texts

LAUNCH = Path(__file__).resolve().parents[1] / "launch"
PREFIX = "demo"
# Short, in ranges that work well for few images: the demo shows how tuning works.
TUNING = ("--max-jobs", "2", "--early-stopping", "Off", "--ranges", "lr=[0.001, 0.004]", "batch_size=[32, 64]")
TRIAL = {"epochs": 1, "debug": "off", "profile": "off"}
JOB = {"debug": "auto", "profile": "auto"}
LEAST_DIGITS_ACCURACY = 0.9
# A CPU trains on about this many photos of 96 pixels in a minute and a half.
PHOTOS, PHOTOS_SIZE = 5000, 96
# A script itself waits for the training that it stops.
SCRIPT_SECONDS = children.STOP_SECONDS + 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=path, help="a folder of your own pictures")
    parser.add_argument("--hyperparameters", **TABLE, default={}, help="hyperparameters of the training job")
    own = parser.parse_args()
    as_texts(own.hyperparameters)
    if own.data:
        pictures.data_and_defaults(str(own.data), image="")
    places.RUNS.mkdir(exist_ok=True)
    with (
        places.locked(places.RUNS / f"{PREFIX}.lock", "the demo"),
        console.if_interrupted("the demo is stopped; the next one begins anew"),
    ):
        remove_earlier()
        run(own)


def remove_earlier() -> None:
    """Remove the jobs of earlier demos, of which the last may have been killed while it trained."""
    for old in places.RUNS.glob(f"{PREFIX}-*"):
        for root in (old, *old.glob("trial-*")):
            programs.wait_for_earlier(root)
        try:
            shutil.rmtree(old)
        except OSError as error:
            raise UserError(f"{old}, of an earlier demo, cannot be removed: {error}") from error


def run(own: argparse.Namespace) -> None:
    """Run the scripts, and print what they came to."""
    if own.data:
        data, unseen, start = link_photos(own.data.resolve())
    else:
        data, start = pictures.data_and_defaults("", image="")
        unseen = {str(path): path.parent.name for path in sorted((data.parent / UNSEEN).rglob("*.jpg"))}
    launch("tune.py", *TUNING, "--data", data, "--hyperparameters", *pairs(start | TRIAL))
    launch("train.py", "--data", data, "--hyperparameters", *pairs(start | JOB | own.hyperparameters))
    try:
        launch("deploy.py")
        show_answers(launch("predict.py", "--json", *unseen, capture=True), unseen)
    finally:
        launch("cleanup.py")
    root = places.RUNS / places.latest("local_job")
    about = json.loads((root / "model/model.json").read_text())
    accuracy = about["metrics"]["test:accuracy"]
    with (root / "output/data/test_predictions.csv").open(encoding="utf-8") as file:
        images = sum(1 for _ in csv.reader(file)) - 1
    print(f"\ntest accuracy {shares.words(accuracy, images)}, chance {percent(1 / len(about['classes']), 1)}")
    print(f"tuning: {places.RUNS / places.latest('local_tuning') / 'tuning.html'}")
    report = root / "output/data/report.html"
    print(f"report: {report}")
    pdf = print_to_pdf(report)
    if pdf:
        print(f"the report as PDF: {pdf}")
    if not own.data and accuracy < LEAST_DIGITS_ACCURACY:
        raise UserError(f"the digits' test accuracy is {accuracy:.3f}; expected: {LEAST_DIGITS_ACCURACY}")


def launch(script: str, *arguments: object, capture: bool = False) -> str:
    """Print and run a launch script's command; return its output if `capture`. Raises UserError if it fails."""
    print(f"\n$ launch/{script} --local", *arguments, flush=True)
    command = [sys.executable, LAUNCH / script, "--local", "--prefix", PREFIX, *arguments]
    with children.child(command, SCRIPT_SECONDS, stdout=subprocess.PIPE if capture else None) as process:
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise UserError(f"launch/{script} failed, see above")
    return output


def pairs(hyperparameters: dict[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in hyperparameters.items()]


def link_photos(folder: Path) -> tuple[Path, dict[str, str], dict[str, object]]:
    """Link the photos of `folder` by phase; without a test set, a part of every class is set aside as one.

    Returns the folder of links, the class of one test photo per class by its path, and hyperparameters.
    """
    dataset = read_dataset({"train": folder}, seed=0)
    print(*dataset.notes, sep="\n", end="\n" * bool(dataset.notes))  # of the folder; that of the links has none
    train, validation, test = dataset.train, dataset.validation, dataset.test
    if test is None:
        train, test = split_phase(train, seed=0)
    links = places.RUNS / f"{PREFIX}-photos"
    for name, phase in {"train": train, "validation": validation, "test": test}.items():
        for file in phase.files:
            (links / name / file).parent.mkdir(parents=True, exist_ok=True)
            (links / name / file).symlink_to(phase.folder / file)
    one_of_each_class = {label: links / "test" / file for label, file in zip(test.labels, test.files, strict=True)}
    unseen = {str(path): dataset.classes[label] for label, path in sorted(one_of_each_class.items())}
    _, start = pictures.data_and_defaults(str(folder), image="")
    epochs = min(20, max(1, PHOTOS // len(train)))
    return links, unseen, start | {"image_size": PHOTOS_SIZE, "epochs": epochs}


def show_answers(lines: str, truths: dict[str, str]) -> None:
    """Print the answers beside the true classes."""
    rows, right = [], 0
    for answer in map(json.loads, lines.splitlines()):
        truth, best = truths[answer["file"]], answer["predictions"][0]
        right += best["class"] == truth
        rows.append((truth, best["class"], f"{best['probability']:.3f}", Path(answer["file"]).name))
    tables.terminal().print(tables.table(("truth", "answer", "probability", "file"), rows))
    print(f"{right} of {len(rows)} right")


if __name__ == "__main__":
    console.run(main)
