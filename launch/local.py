"""Runs container/train and container/serve here, in a folder laid out as /opt/ml: with this Python, or the image."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import places
from classifier.training import imagenet
from digits import write_digits

ENGINES = ("docker", "podman", "finch")
# SageMaker's own deadlines: until the first good /ping, and between SIGTERM and SIGKILL of train and serve.
START_SECONDS, TRAIN_STOP_SECONDS, STOP_SECONDS = 240, 120, 30
# Handwritten digits are 8 x 8 pixels.
DIGITS = {"weights": "none", "image_size": 32, "epochs": 4, "augmentation": "none"}


def data_and_defaults(data: str, image: str) -> tuple[Path, dict[str, object]]:
    """The folder of images, the handwritten digits where none is named, and hyperparameters that suit them here."""
    if not image and importlib.util.find_spec("torch") is None:
        raise places.UserError("--local needs PyTorch: make demo installs it, or pip install -r requirements/local.txt")
    if not data:
        return write_digits(places.RUNS / "digits"), DIGITS
    folder = Path(data).resolve()
    if not folder.is_dir():
        raise places.UserError(f"{data} is not a folder; accepted with --local: a folder of images")
    return folder, {} if image or (imagenet.FOLDER / imagenet.FILE).exists() else {"weights": "none"}


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
        raise places.UserError("--image needs a container engine that runs; accepted: docker, podman or finch")
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
        raise places.UserError(f"training failed: {cause}")


def serve(job: str, image: str) -> str:
    """Leave a server with the model of `job` running, in place of the one before; its URL, once it answers."""
    root = places.RUNS / job
    if not (root / "model/model.json").exists():
        raise places.UserError(f"{job} has no model in {root / 'model'}")
    stop_serving()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", root / "serve.log"
    with log.open("ab") as stream:
        process = start("serve", root, image, port, stdout=stream, start_new_session=True)
    places.note(local_pid=str(process.pid), local_url=url)
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=2):
            return url
        time.sleep(0.2)
    stop_serving()
    raise places.UserError(f"the server did not come up within {START_SECONDS} s, or ended; {log} says why")


def serving() -> object:
    """psutil's process of the server that was left running, None where it is gone."""
    import psutil

    with suppress(psutil.Error, KeyError, ValueError):
        process = psutil.Process(int(places.noted()["local_pid"]))
        return process if "serve" in " ".join(process.cmdline()) else None  # process ids come round again
    return None


def stop_serving() -> bool:
    """Stop the server, if it runs; whether it did."""
    process = serving()
    if process:
        process.terminate()
        process.wait(STOP_SECONDS)
    places.note(local_pid="", local_url="")
    return process is not None
