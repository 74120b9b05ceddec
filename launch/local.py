"""Runs container/train and container/serve here, in a folder laid out as /opt/ml: with this Python, or the image."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import places
from classifier.training import imagenet

ENGINES = ("docker", "podman", "finch")
# SageMaker's own deadlines: until the first good /ping, and between SIGTERM and SIGKILL of train and serve.
START_SECONDS = 240
TRAIN_STOP_SECONDS = 120
STOP_SECONDS = 30
# Handwritten digits are 8 x 8 pixels.
DIGITS = {"weights": "none", "image_size": 32, "epochs": 4, "augmentation": "none"}


def data_and_defaults(data: str, image: str) -> tuple[Path, dict[str, object]]:
    """The folder of images, the handwritten digits where none is named, and hyperparameters that suit them here."""
    if not image and importlib.util.find_spec("torch") is None:
        raise places.UserError("--local needs PyTorch: make demo installs it, or pip install -r requirements/local.txt")
    if not data:
        from digits import write_digits

        return write_digits(places.RUNS / "digits"), DIGITS
    folder = Path(data)
    if not folder.is_dir():
        raise places.UserError(f"{data} is not a folder; accepted with --local: a folder of images")
    fetched = image or (imagenet.FOLDER / imagenet.FILE).exists()
    return folder.resolve(), {} if fetched else {"weights": "none"}


def prepare(root: Path, data: Path, hyperparameters: Mapping[str, str]) -> None:
    """Lay `root` out as SageMaker does for a training job with the one channel train, a link to `data`."""
    config, channel = root / "input/config", root / "input/data/train"
    for folder in (config, channel.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"TrainingInputMode": "File"}}))
    channel.unlink(missing_ok=True)
    channel.symlink_to(data)


def start(verb: str, root: Path, image: str = "", port: int = 0, **how: object) -> subprocess.Popen:
    """Start `verb`, train or serve, in `root`; `how` goes to Popen."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | ({"SAGEMAKER_BIND_TO_PORT": str(port)} if port else {})
    command = [sys.executable, places.CONTAINER / verb, "--root", root]
    return subprocess.Popen(in_image(verb, root, image, port) if image else command, env=environment, **how)


def in_image(verb: str, root: Path, image: str, port: int) -> list[object]:
    """The command that runs `verb` in a container; its port 8080 becomes `port`."""
    engine = next(filter(shutil.which, ENGINES), None)
    if engine is None:
        raise places.UserError(f"--image needs a container engine: install {', '.join(ENGINES[:-1])} or {ENGINES[-1]}")
    command = [engine, "run", "--rm", "--shm-size", "2g", "-v", f"{root.resolve()}:/opt/ml"]
    data = root / "input/data/train"
    if data.is_symlink():  # leads to the same place inside
        command += ["-v", f"{data.resolve()}:{data.resolve()}:ro"]
    if port:
        command += ["-p", f"127.0.0.1:{port}:8080"]
    if shutil.which("nvidia-smi"):
        command += ["--gpus", "all"]
    if engine != "podman" and os.getuid():  # podman's root outside its containers is the user
        command += ["--user", f"{os.getuid()}:{os.getgid()}"]
    return [*command, image, verb]


def train(root: Path, image: str = "") -> None:
    """Train in `root`, its log on the terminal. Raises UserError with the cause where training fails."""
    process = start("train", root, image)
    try:
        process.wait()
    except KeyboardInterrupt:
        stop(process, TRAIN_STOP_SECONDS)
        raise
    if process.returncode:
        raise places.UserError(f"training failed: {failure(root)}")


def failure(root: Path) -> str:
    """The first line of what a failed training left."""
    file = root / "output/failure"
    return file.read_text().partition("\n")[0] if file.exists() else "the log says why"


def stop(process: subprocess.Popen, seconds: float) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(seconds)


@contextmanager
def server(root: Path) -> Iterator[str]:
    """Serve the model in `root` on a free port, until the block ends; yields the server's URL once it is ready."""
    port = free_port()
    process = start("serve", root, port=port)
    try:
        yield wait_until_ready(process, port)
    finally:
        stop(process, STOP_SECONDS)


def wait_until_ready(process: subprocess.Popen, port: int) -> str:
    """The server's URL, once its /ping answers."""
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise places.UserError(f"the server stopped with exit code {process.returncode}; its log says why")
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=2):
                return url
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise places.UserError(f"the server was not ready within {START_SECONDS} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
