"""The real container/train, asked to stop."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from classifier import artifact
from datasets import QUICK, TRAIN, altered_train, digit_jpegs, report_of, write_channel, write_hyperparameters
from waits import PATIENCE_S, signals, wait_until

FOUR = range(4)
OBSERVED = {"debug": "auto", "profile": "auto"}
# SageMaker kills a job so long after SIGTERM.
STOP_SECONDS = 120
LINE_FOR_EACH_STEP = "from classifier.training import progress; progress.SECONDS_BETWEEN_LINES = 0"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_the_best_weights_so_far(tmp_path, number):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 40))
    write_hyperparameters(tmp_path, **QUICK | OBSERVED | {"epochs": 1000})
    process = start(tmp_path)
    wait_for(process, "epoch 2/1000")
    process.send_signal(number)
    asked = time.monotonic()
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert time.monotonic() - asked < STOP_SECONDS
    epoch = artifact.read(tmp_path / "model").metrics["epoch"]
    assert re.search(rf"stopped by {number.name} after \d+ complete epochs: .*weights of epoch {epoch}\n", output)
    assert "stopped by" in report_of(tmp_path)


def test_a_signal_in_the_first_epoch_keeps_the_weights_there_are(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(range(10), 0, 170))
    write_hyperparameters(tmp_path, **QUICK | {"image_size": 224, "batch_size": 8})
    process = start(tmp_path, LINE_FOR_EACH_STEP)
    wait_for(process, "epoch 1: step 1 of ")  # one step is done
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert re.search(r"no epoch was completed, so the artifact has the weights of step \d+, not validated", output)
    assert artifact.read(tmp_path / "model").metrics == {}
    assert (tmp_path / "output/data/report.html").exists()


def test_a_signal_before_the_first_step_leaves_no_artifact(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 40))
    write_hyperparameters(tmp_path, **QUICK)
    process = start(tmp_path)
    wait_until(lambda: signal.SIGTERM in signals(process.pid, "SigCgt"), "a handler for SIGTERM")  # then it imports
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert "stopped by SIGTERM after 0 complete epochs: no step was completed, so there is no artifact" in output
    assert "artifact in" not in output
    assert not (tmp_path / "model").exists()


# A file of a network disk that is gone: its reader waits for it forever.
HANG = """
from classifier.training.data import dataset, files
import time

def read(path):
    if path.name == "hang.jpg":
        print("it hangs", flush=True)
        while True:
            time.sleep(1)
    return files.read_image_file(path)

dataset.read_image_file = read
"""


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_a_signal_while_a_file_hangs(tmp_path, trainable):
    folder = write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 40))
    write_channel(tmp_path, "validation", digit_jpegs(FOUR, 40, 44))
    next(folder.rglob("*.jpg")).rename(folder / "digit-0" / "hang.jpg")
    write_hyperparameters(tmp_path, **QUICK | {"trainable": trainable})
    process = start(tmp_path, HANG)
    wait_for(process, "it hangs")
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert time.monotonic() - asked < STOP_SECONDS
    assert "stopped by SIGTERM after 0 complete epochs: " in output
    assert (tmp_path / "output/data/report.html").exists()


def test_a_signal_while_the_folders_hang(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 4))
    write_hyperparameters(tmp_path, **QUICK)
    hang = "import os, time; os.scandir = lambda path: print('it hangs', flush=True) or time.sleep(10**6)"
    process = start(tmp_path, f"from classifier.training import job\n{hang}")
    wait_for(process, "it hangs")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert "stopped by SIGTERM before the first step: there is no artifact" in output


def test_a_killed_reader_fails_the_job_in_a_sentence(tmp_path):
    folder = write_channel(tmp_path, "train", digit_jpegs(FOUR, 0, 40))
    write_channel(tmp_path, "validation", digit_jpegs(FOUR, 40, 44))
    next(folder.rglob("*.jpg")).rename(folder / "digit-0" / "hang.jpg")
    write_hyperparameters(tmp_path, **QUICK)
    process = start(tmp_path, HANG.replace("while True:", "import os; os.kill(os.getpid(), 9)\n        while True:"))
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output
    (failure,) = (tmp_path / "output/failure").read_text().splitlines()
    assert "ended by signal SIGKILL, at the train image 'digit-0/hang.jpg'; SIGKILL usually means" in failure
    assert "Traceback" not in output
    assert (tmp_path / "output/data/report.html").exists()


def start(root, change=""):
    program = altered_train(change) if change else [sys.executable, str(TRAIN)]
    command = [*program, "--root", str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TRAIN.parent)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def wait_for(process, text):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the job ended before {text!r}")
