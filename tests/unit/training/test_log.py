import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from classifier.training import log, metrics

CONTAINER = Path(log.__file__).parents[2]


def written(logger, *message):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.LineFormatter("%(message)s"))
    handler.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, message[0], message[1:], None))
    stream.getvalue().encode()
    return stream.getvalue()


@pytest.mark.parametrize("name", ["b\nvalidation:accuracy=1.0", "x validation:accuracy=1.0 y", "validation:accuracy=1"])
def test_no_name_reads_as_a_metric(name):
    text = written(logging.getLogger("classifier.training.data.skipped"), "skipped %s", name)
    assert not any(re.search(metric.regex, text, re.MULTILINE) for metric in metrics.METRICS.values())
    assert r"validation:accuracy\x3d1" in text


def test_metrics_and_tracebacks_stay():
    line = "epoch 1/2: validation:accuracy=0.5"
    assert written(metrics.logger, "%s", line) == f"{line}\n"
    assert written(logging.getLogger("any"), "%s", "Traceback:\n  File") == "Traceback:\n  File\n"


def test_what_cannot_be_shown_is_escaped():
    text = written(logging.getLogger("any"), "a %s", f"\x1b[2J\r{os.fsdecode(bytes([0xF1]))}")
    assert text == "a \\x1b[2J\\r\\udcf1\n"


ROW = {
    "train:loss": 1.9713,
    "train:accuracy": 0.2881,
    "train:images_per_second": 1033.2,
    "validation:loss": 2.161,
    "validation:accuracy": 0.2702,
    "validation:macro_f1": 0.25,
}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (200, "epoch 3/10  loss 1.97 -> 2.16  acc 28.8 -> 27.0 %  best 27.0 (3)  2:10 left  F1 0.250  1,033 img/s"),
        (81, "epoch 3/10  loss 1.97 -> 2.16  acc 28.8 -> 27.0 %  best 27.0 (3)  2:10 left"),
        (70, "epoch 3/10  loss 1.97 -> 2.16  acc 28.8 -> 27.0 %  best 27.0 (3)"),
    ],
)
def test_a_short_line_has_what_fits(columns, expected):
    assert log.short_line("epoch 3/10", ROW, ("best 27.0 (3)", "2:10 left"), columns) == expected


def test_the_short_line_of_a_test():
    row = {"test:loss": 2, "test:accuracy": 1, "test:macro_f1": 0.5}
    assert log.short_line("test", row, ("",), 80) == "test  loss 2  acc 100.0 %  F1 0.500"


def test_a_terminal_gets_the_short_line_and_a_file_the_metrics(tmp_path, monkeypatch, capsys):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(log.sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    try:
        log.set_up_log(tmp_path)
        metrics.log_metrics("epoch 3/10", ROW, ("best 27.0 (3)", "2:10 left"))
        logging.getLogger("any").info("a sentence")
        shown = capsys.readouterr().out.splitlines()
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers, root.level = before, level
    assert shown == ["epoch 3/10  loss 1.97 -> 2.16  acc 28.8 -> 27.0 %  best 27.0 (3)  2:10 left", "a sentence"]
    kept = (tmp_path / "train.log").read_text().splitlines()
    assert kept[1:] == ["a sentence"]
    for name in ROW:
        assert re.search(metrics.METRICS[name].regex, kept[0])


LOGS = """
import logging, pathlib, subprocess, sys
from classifier.training import log
log.set_up_log(pathlib.Path(sys.argv[1]))
for number in range(3):
    logging.info("line %d", number)
print("not of the log")
subprocess.run(["echo", "of a child"], check=True)
"""
FULL = "No space left on device; the job goes on, without its log there\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_log_that_cannot_be_written_is_said_once_and_the_job_goes_on(tmp_path, unbuffered):
    command, environ = [sys.executable, "-c", LOGS, tmp_path], os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=CONTAINER, env=environ, stdout=full, stderr=PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, f"train: standard output cannot be written: {FULL}")


def test_a_terminal_whose_log_file_cannot_be_written_gets_all_lines(tmp_path):
    (tmp_path / "train.log").symlink_to("/dev/full")
    ours, its = os.openpty()
    done = subprocess.run([sys.executable, "-c", LOGS, tmp_path], cwd=CONTAINER, stdout=its, stderr=PIPE, text=True)
    os.close(its)
    shown = os.read(ours, 65536).decode().split("\r\n")
    os.close(ours)
    assert (done.returncode, done.stderr) == (0, f"train: {tmp_path}/train.log cannot be written: {FULL}")
    assert shown == ["line 0", "line 1", "line 2", "not of the log", "of a child", ""]
