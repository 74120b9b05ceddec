"""A job that is killed, stopped and resumed gives the result of one that was not, bit for bit.

KILLS=25 kills 25 jobs in the first test; `make resume` does so.
"""

import json
import os
import random
import re
import subprocess
import time

import pytest

from classifier import artifact
from classifier.training.debugging.config import save_intervals
from datasets import QUICK, TRAIN, altered_train, digit_jpegs, report_of, write_channel, write_hyperparameters
from waits import LIMIT_S, PATIENCE_S

KILLS = int(os.environ.get("KILLS", 1))
EPOCHS = 2
# Checkpoints far more often than every few minutes, or jobs this short would have none within an epoch.
OFTEN = "from classifier.training import checkpoint; checkpoint.SECONDS_BETWEEN = 0.5"


def prepare(root, **hyperparameters):
    for channel, first, last in (("train", 0, 24), ("validation", 80, 84), ("test", 110, 114)):
        write_channel(root, channel, digit_jpegs(range(4), first, last))
    truncated = next((root / "input/data/train/digit-0").iterdir())
    truncated.write_bytes(truncated.read_bytes()[:200])
    values = {"epochs": EPOCHS, "batch_size": 8, "augmentation": "standard", "precision": "auto"}
    write_hyperparameters(root, **QUICK | values | hyperparameters)
    return root


def start(root):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TRAIN.parent)}
    return subprocess.Popen(
        [*altered_train(OFTEN), "--root", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(process):
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    return output


def outcome(root):
    """Return the weights, metrics and files of a job, without its speed."""
    lines = [json.loads(line) for line in (root / "output/data/metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("train:images_per_second", None)
    weights = (root / "model/model.safetensors").read_bytes()
    files = {name: (root / "output/data" / name).read_text() for name in ("test_predictions.csv", "skipped_images.csv")}
    return weights, lines, files


def resumptions(output):
    """Return the step after which a process resumed from a checkpoint, in a list that is empty if it did not."""
    return re.findall(r"resumed from .* and (\d+) steps", output)


@pytest.fixture(scope="module")
def whole(module_path):
    """The result of the job when nothing stops it, and the seconds it takes from its first line on."""
    root = prepare(module_path)
    process = start(root)
    process.stdout.readline()
    started = time.monotonic()
    finish(process)
    return root, outcome(root), time.monotonic() - started


@pytest.mark.timeout(LIMIT_S * KILLS)
def test_a_job_that_is_killed_again_and_again_gives_the_same_result(whole, tmp_path):
    _, expected, seconds = whole
    random.seed(KILLS)
    kills = runs = 0
    resumed = []
    while kills < KILLS:
        runs += 1
        root = prepare(tmp_path / str(runs))
        output = None
        while output is None:
            process = start(root)
            process.stdout.readline()
            try:
                output, _ = process.communicate(timeout=random.uniform(0, seconds) if kills < KILLS else PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
                resumed += resumptions(process.communicate()[0])
        assert process.returncode == 0, output
        resumed += resumptions(output)
        assert outcome(root) == expected
    print(f"{kills} kills in {runs} runs, all with the same result; resumed after steps {', '.join(resumed)}")


def test_after_a_signal_it_resumes_in_the_middle_of_an_epoch(whole, tmp_path):
    _, expected, _ = whole
    root = prepare(tmp_path, debug="auto", profile="auto")
    process = start(root)
    for line in process.stdout:
        if line.startswith("epoch 1/"):
            break
    process.terminate()
    assert "stopped by SIGTERM after " in finish(process)
    assert artifact.read(root / "model").metrics["epoch"] >= 1
    assert "resumed from " in finish(start(root))
    assert outcome(root) == expected
    series = json.loads((root / "output/data/debug.json").read_text())["series"]
    steps = 12 * EPOCHS
    assert series["steps"] == list(range(0, steps, save_intervals(steps).rest))
    assert "Interrupted 1 time and resumed after step " in report_of(root)


def test_more_epochs_continue_the_run(whole):
    root, _, _ = whole
    prepare(root, epochs=EPOCHS + 1, workers=0)
    assert f"{EPOCHS} complete epochs of {EPOCHS + 1} and {12 * EPOCHS} steps are done" in finish(start(root))
    lines = [json.loads(line) for line in (root / "output/data/metrics.jsonl").read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None]


def test_fewer_epochs_than_are_done_are_refused(whole):
    root, _, _ = whole
    prepare(root, epochs=1)
    process = start(root)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    failure = (root / "output/failure").read_text()
    assert re.search(
        r"/run-\w+ has a checkpoint of epoch \d of this run, but epochs is 1; accepted: \d epochs or more, "
        r"or without that folder, to train anew\n",
        failure,
    )
    assert (root / "output/data/report.html").exists()  # of the epochs that are done


def test_other_images_under_the_same_names_are_another_run(whole):
    root, _, _ = whole
    prepare(root)
    for path in (root / "input/data/train/digit-1").iterdir():
        path.write_bytes(path.read_bytes() + b"another image")
    assert not resumptions(finish(start(root)))
