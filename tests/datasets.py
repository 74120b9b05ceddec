"""Small data sets of real images, laid out as SageMaker's channels, and the real training process to run on them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from waits import PATIENCE_S

TRAIN = Path(__file__).parents[1] / "container" / "train"
DIGITS = load_digits()
# Small enough that a job takes seconds.
QUICK = {"weights": "none", "image_size": 32, "epochs": 1, "augmentation": "none", "workers": 1, "lr": 0.003}
# In a job of a few steps each of them would be saved and timed: only the tests about that turn it on.
QUICK |= {"debug": "off", "profile": "off"}
# The same figures on every processor.
QUICK |= {"precision": "fp32"}
# The capability to read all files stands in for an image whose Python is readable by all.
WITHOUT_A_NAME = (
    "env -u HOME -u USER -u LOGNAME -u TORCHINDUCTOR_CACHE_DIR setpriv --reuid=4321 --regid=4321 --clear-groups "
    "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search"
)


def digit_jpegs(digits: Iterable[int], first: int, last: int) -> list[tuple[str, str, Image.Image]]:
    """Return class, file name and image of the `first` to `last` picture of each of `digits`."""
    return [
        (f"digit-{digit}", f"{number:04}.jpg", Image.fromarray((DIGITS.images[number] * 255 / 16).astype(np.uint8)))
        for digit in digits
        for number in np.flatnonzero(DIGITS.target == digit)[first:last]
    ]


def write_channel(root: Path, channel: str, images: Iterable[tuple[str, str, Image.Image]]) -> Path:
    folder = root / "input" / "data" / channel
    for class_name, file, image in images:
        path = folder / class_name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


def touch_images(folder: Path, **counts: int) -> Path:
    """Make a class folder for each of `counts`, with so many empty files, and return `folder`."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number:03}.jpg").touch()
    return folder


def write_hyperparameters(root: Path, **hyperparameters: object) -> None:
    config = root / "input" / "config" / "hyperparameters.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({name: str(value) for name, value in hyperparameters.items()}))


def altered_train(change: str) -> list[str]:
    """Return a command that runs container/train after `change`, Python that alters its modules."""
    run = f"import runpy, sys; sys.argv[0] = {str(TRAIN)!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    return [sys.executable, "-c", f"{change}\n{run}"]


def train(root: Path, within: Iterable[str] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    """Run container/train to its end, on one core: images this small gain nothing from a second.

    `within` is a command that runs another one, and runs this one if given.
    """
    command = [*within, sys.executable, "-W", "error", str(TRAIN), "--root", str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environ
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE_S)


def report_of(root: Path) -> str:
    """Return the report of the job in `root`, without what only says where its lines may end."""
    page = (root / "output/data/report.html").read_text(encoding="utf-8")
    return page.replace("<wbr/>", "").replace("\u00a0", " ")
