"""The real container/train as a person sees it, in a terminal of 80 columns."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from classifier.training.metrics import METRICS
from datasets import QUICK, TRAIN, digit_jpegs, write_channel, write_hyperparameters
from waits import PATIENCE_S


def in_terminal(command: list[str]) -> str:
    """Return what `command` writes to a terminal of 24 lines and 80 columns."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment | {"OMP_NUM_THREADS": "1"})
    os.close(its)
    written = b""
    while True:
        try:
            written += os.read(ours, 65536)
        except OSError:  # the last one who writes has ended
            break
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0, written.decode()
    return written.decode()


def test_lines_fit_and_one_bar_shows_the_whole_job(tmp_path: Path):
    write_channel(tmp_path, "train", digit_jpegs(range(4), 0, 40))
    write_hyperparameters(tmp_path, **QUICK | {"epochs": 3, "batch_size": 8})
    written = in_terminal([sys.executable, str(TRAIN), "--root", str(tmp_path)])
    # What a bar writes ends with a return, not with a new line.
    lines = [line.rsplit("\r", 1)[-1] for line in written.replace("\r\n", "\n").split("\n")]
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 3, written
    for number, line in enumerate(epochs, 1):
        pattern = rf"epoch {number}/3  loss \S+ -> \S+  acc \S+ -> \S+ %  best \S+ \(\d\)  \d\d:\d\d left"
        assert re.match(pattern, line) and len(line) < 80, line
    totals = set(re.findall(r"\| \d+/(\d+) \[", written))
    assert len(totals) == 1, totals  # of all steps of training and validation
    kept = (tmp_path / "train.log").read_text()
    assert len(re.findall(METRICS["validation:accuracy"].regex, kept, re.MULTILINE)) == 4
    assert not re.search(METRICS["validation:accuracy"].regex, written)
