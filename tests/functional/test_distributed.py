"""Training in several processes, on one host and on two: the same result, and every image exactly once."""

import csv
import json
import os
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from datasets import QUICK, TRAIN, digit_jpegs, train, write_channel, write_hyperparameters
from hosts import NAMES, two_hosts
from waits import PATIENCE_S

# One process sees whole batches and several see parts, so results differ if batch normalisation learns.
FIXED_STATISTICS = "trainer.set_training_mode = lambda model, trainable: model.eval()"
IMPATIENT = "processes.LONGEST_WAIT = timedelta(seconds=30)"
UNKNOWN = "the name of a host is not known yet"
TELL_UNKNOWN_NAMES = f"""
sleep = time.sleep
launcher.time = SimpleNamespace(monotonic=time.monotonic, sleep=lambda s: [print({UNKNOWN!r}, flush=True), sleep(s)])
"""
LOST = "another process of the job has ended or cannot be reached ("


def train_with(root, change):
    """Write a program in `root` that is container/train after `change`, Python that alters its modules."""
    program = root / "train.py"
    program.write_text(f"""
import time
from datetime import timedelta
from types import SimpleNamespace
from classifier.training import trainer
from classifier.training.parallel import launcher, processes
{change}
exec({TRAIN.read_text()!r})
""")
    return program


def prepare(root, **hyperparameters):
    for channel, first, last in (("train", 0, 20), ("validation", 80, 87), ("test", 110, 117)):
        write_channel(root, channel, digit_jpegs(range(4), first, last))
    write_hyperparameters(root, **QUICK | {"workers": 0} | hyperparameters)
    return root


def start(root, processes):
    environment = os.environ | {"PROCESSES_PER_HOST": str(processes), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TRAIN), "--root", str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def finish(process, returncode=0):
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == returncode, output
    return output


def read_until(process, start):
    """Read the process's output up to the line that starts with `start`."""
    for line in process.stdout:
        if line.startswith(start):
            return
    raise AssertionError(f"the process ended before {start!r}")


def figures(root):
    lines = [json.loads(line) for line in (root / "output/data/metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if "second" not in name} for line in lines]


@pytest.fixture(scope="module")
def hosts(module_path):
    try:
        with two_hosts(module_path) as hosts:
            yield hosts
    except PermissionError as error:
        pytest.skip(str(error))


def start_both(hosts, program, **hyperparameters):
    """Start a long job on both hosts, and return its processes after its first epoch."""
    values = {"batch_size": 8, "epochs": 100} | hyperparameters
    first, second = (
        hosts.start(name, [str(program), "--root", str(prepare(hosts.root / name, **values))]) for name in NAMES
    )
    read_until(first, "epoch 1/")
    return first, second


def failure(hosts, name):
    return (hosts.root / name / "output/failure").read_text()


def test_two_hosts_give_the_result_of_one(hosts, tmp_path):
    """20 steps of the same global batches. The name of the second host is known only later."""
    values = {"batch_size": 8, "epochs": 2, "optimizer": "sgd", "class_weights": "balanced", "label_smoothing": 0.1}
    alone = prepare(tmp_path, **values)
    program = train_with(tmp_path, FIXED_STATISTICS + TELL_UNKNOWN_NAMES)
    finish(subprocess.Popen([sys.executable, program, "--root", alone], stdout=subprocess.PIPE, text=True))
    hosts.know(NAMES[0])
    together = [
        hosts.start(name, [str(program), "--root", str(prepare(hosts.root / name, **values))]) for name in NAMES
    ]
    for process in together:
        read_until(process, UNKNOWN)
    hosts.know(*NAMES)
    for process in together:
        finish(process)
    first, second = (hosts.root / name for name in NAMES)
    assert figures(alone) == [pytest.approx(line, abs=1e-4) for line in figures(first)]
    weights = load_file(alone / "model/model.safetensors")
    for name, tensor in load_file(first / "model/model.safetensors").items():
        assert (tensor - weights[name]).abs().max() < 1e-5, name
    assert not any((second / folder).exists() for folder in ("model/model.json", "output/data/report.html"))


def test_a_lost_host_ends_the_job_and_is_named_as_the_cause(hosts):
    hosts.know(*NAMES)
    first, second = start_both(hosts, TRAIN)
    hosts.lose(NAMES[1])
    finish(first, returncode=1)
    second.communicate()
    assert failure(hosts, NAMES[0]).startswith(LOST)
    assert "by peer" in failure(hosts, NAMES[0])  # at once: after LONGEST_WAIT it would have timed out


def test_a_host_that_falls_silent_ends_the_job_on_both(hosts):
    """Its network goes down, so that nothing is refused and nothing is answered."""
    hosts.know(*NAMES)
    both = start_both(hosts, train_with(hosts.root, IMPATIENT), seed=1)
    with hosts.silence(NAMES[1]):
        for process in both:
            finish(process, returncode=1)
    assert [failure(hosts, name)[: len(LOST)] for name in NAMES] == [LOST, LOST]


def test_four_processes_are_stopped_and_resumed_and_count_every_image_once(tmp_path):
    root = prepare(tmp_path, batch_size=16, epochs=2)
    broken = sorted((root / "input/data/test/digit-1").iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:100])
    process = start(root, 4)
    read_until(process, "epoch 1/")
    process.terminate()
    assert "stopped by " in finish(process)
    assert "resumed from " in finish(start(root, 4))
    assert [line.get("epoch") for line in figures(root)] == [1, 2, None]
    with (root / "output/data/test_predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = sorted(
        str(path.relative_to(root / "input/data/test")) for path in (root / "input/data/test").rglob("*.jpg")
    )
    expected.remove(str(broken.relative_to(root / "input/data/test")))
    assert [row["file"] for row in rows] == expected
    right = sum(row["class"] == row["predicted"] for row in rows)
    assert figures(root)[-1]["test:accuracy"] == pytest.approx(right / len(rows))
    assert broken.name in (root / "output/data/skipped_images.csv").read_text()


# As NCCL, which waits at Python's end for the other processes' part in it.
WAITS_AT_THE_END = f"""
import atexit, os
if "TORCHELASTIC_RUN_ID" in os.environ:
    atexit.register(time.sleep, {PATIENCE_S})
"""


def test_an_error_ends_its_process_whatever_waits_for_others_then(tmp_path):
    program = train_with(prepare(tmp_path, batch_size=3), WAITS_AT_THE_END)
    command, environ = [sys.executable, str(program), "--root", str(tmp_path)], os.environ | {"PROCESSES_PER_HOST": "2"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S / 5)
    assert done.returncode == 1
    assert (tmp_path / "output/failure").read_text().startswith("batch_size is 3, for 2 processes")


def test_a_batch_too_small_for_the_processes_is_refused(tmp_path):
    result = train(prepare(tmp_path, batch_size=3), PROCESSES_PER_HOST="2")
    sentence = "batch_size is 3, for 2 processes (GPUs or hosts); accepted: 4 or more, two images for each\n"
    assert (result.returncode, (tmp_path / "output/failure").read_text()) == (1, sentence)
