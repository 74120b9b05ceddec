"""Runs container/train and container/serve here, in a folder laid out as /opt/ml: with this Python, or the image."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from classifier.errors import UserError
from local import places

ENGINES = ("docker", "podman", "finch")
# SageMaker's own deadline between SIGTERM and SIGKILL.
TRAIN_STOP_SECONDS = 120


def prepare(root: Path, data: Path, hyperparameters: Mapping[str, str]) -> None:
    """Lay `root` out as SageMaker does for a training job with the one channel train, a link to `data`."""
    config, channel = root / "input/config", root / "input/data/train"
    for folder in (config, channel.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"TrainingInputMode": "File"}}))
    channel.unlink(missing_ok=True)
    channel.symlink_to(data)


def start(verb: str, root: Path, image: str, port: int = 0, **how: object) -> subprocess.Popen:
    """Start `verb`, train or serve, in `root`; its output and errors go where `how`, for Popen, says."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | ({"SAGEMAKER_BIND_TO_PORT": str(port)} if port else {})
    command = [sys.executable, places.CONTAINER / verb, "--root", root]
    command = in_image(verb, root, image, port) if image else command
    return subprocess.Popen(command, env=environment, stderr=subprocess.STDOUT, **how)


def answers(engine: str) -> bool:
    """Whether it is installed and runs: docker's command may be there without its daemon."""
    return bool(shutil.which(engine)) and subprocess.run([engine, "info"], capture_output=True).returncode == 0


def in_image(verb: str, root: Path, image: str, port: int) -> list[object]:
    """The command that runs `verb` in a container; its port 8080 becomes `port`."""
    engine = next(filter(answers, ENGINES), None)
    if engine is None:
        raise UserError("--image needs a container engine that runs; accepted: docker, podman or finch")
    command = [engine, "run", "--rm", "--shm-size", "2g", "-v", f"{root}:/opt/ml"]
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


@contextmanager
def training(root: Path, image: str, **how: object) -> Iterator[subprocess.Popen]:
    """Train in `root`: to its end, or as long as the block raises nothing; `how` is for Popen.

    Raises UserError with the cause where training fails.
    """
    with start("train", root, image, **how) as process:
        try:
            yield process
            process.wait()
        except BaseException:
            process.terminate()
            process.wait(TRAIN_STOP_SECONDS)
            raise
    if process.returncode:
        failure = root / "output/failure"
        cause = failure.read_text().partition("\n")[0] if failure.exists() else "the log says why"
        raise UserError(f"training failed: {cause}")
