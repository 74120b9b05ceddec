"""The device, photos of a few classes, and jobs on them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import SERVE, python_path
from waits import PATIENCE_S

GPU = torch.device("cuda")
CLASSES, SIZE = ("blue", "green", "red"), 64
TRAIN = SERVE.with_name("train")
# Jobs have one GPU, of however many.
ONE_GPU = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
OBSERVED = {"debug": "auto", "profile": "auto", "stop_on_rule": "ExplodingTensor"}
# The batch that a job's later epochs cannot be without, and nothing that only costs time.
QUICK = {"weights": "none", "image_size": SIZE, "batch_size": 16, "epochs": 2, "workers": 2, "lr": 0.003}


def write_photos(root: Path) -> None:
    """Write 96 photos for training, 24 for validation and 24 for test: noise with more of its class's colour."""
    random = np.random.default_rng(0)
    for channel, number in (("train", 96), ("validation", 24), ("test", 24)):
        for place in range(number):
            pixels = random.integers(0, 160, (80, 100, 3), dtype=np.uint8)
            pixels[..., place % 3] += 95
            folder = root / "input/data" / channel / ("red", "green", "blue")[place % 3]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{place}.jpg")


def prepare(root: Path, **hyperparameters: object) -> Path:
    """Make the contract's folder of a job, or change the hyperparameters of the one that is there."""
    if not (root / "input/data").exists():
        write_photos(root)
    config = root / "input/config/hyperparameters.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({name: str(value) for name, value in (QUICK | hyperparameters).items()}))
    return root


def start(root: Path, change: str = "", within: tuple[str, ...] = (), **environ: str) -> subprocess.Popen[str]:
    """Start container/train on `root` after `change`, Python that alters its modules; `within` runs a program."""
    pytest.importorskip("openvino")  # with which a job measures int8
    program = root / "program.py"
    program.write_text(
        f"import runpy, sys\n{change}\nsys.argv[0] = {str(TRAIN)!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return subprocess.Popen(
        [sys.executable, *within, str(program), "--root", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": python_path(TRAIN.parent), "CUDA_VISIBLE_DEVICES": ONE_GPU} | environ,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the job's end and return its log."""
    try:
        log, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()  # one that hangs would keep the GPU from the next test
    assert process.returncode == code, log
    return log
