"""Run container/train and container/serve in a folder laid out as /opt/ml, with this Python or in the image."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO

import psutil

from classifier.errors import UserError
from classifier.files import read_json
from classifier.training.lock import InUse, is_in_use
from local import children, places
from local.accepted import Text, parse_values

ENGINES = ("docker", "podman", "finch")
CONFIG = "input/config"
HYPERPARAMETERS = f"{CONFIG}/hyperparameters.json"
CHANNEL = "input/data/train"
# Ours, beside the files of SageMaker's contract.
IMAGES = f"{CONFIG}/images.json"


def prepare_job(root: Path, data: Path, hyperparameters: Mapping[str, str], images: str = "") -> None:
    """Lay `root` out as SageMaker does for a training job with the one channel train, a link to `data`.

    `images`, what tells them from others, is kept for images_of(). Raises UserError if an earlier training does not end
    there.
    """
    wait_for_earlier(root)
    config, channel = root / CONFIG, root / CHANNEL
    for folder in (config, channel.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (root / HYPERPARAMETERS).write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"TrainingInputMode": "File"}}))
    (root / IMAGES).write_text(json.dumps({"images": images}))
    channel.unlink(missing_ok=True)
    channel.symlink_to(data)


def hyperparameters_of(job: str) -> dict[str, str]:
    """Return the hyperparameters of a job. Raises UserError if there is no such job here, or they are damaged."""
    try:
        return read_json(places.run_folder(job) / HYPERPARAMETERS)
    except FileNotFoundError as error:
        raise places.no_run("job", job, HYPERPARAMETERS) from error


def images_of(root: Path) -> tuple[Path, str]:
    """Return the folder of images of the job in `root`, and what told these from others when it began.

    That is "" of a job of an earlier version. Raises UserError if it is damaged, or if the images have moved.
    """
    channel = root / CHANNEL
    if channel.is_symlink() and not channel.exists():
        gone = f"{channel} is a link to {channel.readlink()}, where nothing is"
        raise UserError(f"{gone}; accepted: the job's images there, or a link to where they are now")
    try:
        kept = parse_values(read_json(root / IMAGES), {"images": Text()}, f"{root / IMAGES} is damaged: ")
    except FileNotFoundError:
        kept = {"images": ""}
    return channel.resolve(), str(kept["images"])


class TrainingFailed(UserError):
    """A training ended with a failure of its own, whose cause this is."""


def start_server(
    root: Path, image: str, port: int, log: IO[bytes], environ: Mapping[str, str] = MappingProxyType({})
) -> subprocess.Popen[str]:
    """Start a server in `root` that outlives this process and its terminal's Ctrl-C; `log` gets its output and errors.

    `environ` has variables besides those of this process.
    """
    command = command_of("serve", root, image, port, environ)
    environment = environment_of(environ) | {"SAGEMAKER_BIND_TO_PORT": str(port)}
    return subprocess.Popen(
        command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def environment_of(environ: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    return os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environ)


def command_of(
    verb: str, root: Path, image: str, port: int = 0, environ: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return the command that runs `verb`, train or serve, in `root`; errors as container_command()."""
    if image:
        return container_command(verb, root, image, port, environ)
    return [sys.executable, str(places.CONTAINER / verb), "--root", str(root)]


def engine_answers(engine: str) -> bool:
    """Return whether the engine is installed and runs: docker's command may be there without its daemon."""
    return bool(shutil.which(engine)) and subprocess.run([engine, "info"], capture_output=True).returncode == 0


def container_command(
    verb: str, root: Path, image: str, port: int, environ: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return the command that runs `verb` in a container with the variables `environ`, whose port 8080 becomes `port`.

    Raises UserError if no container engine runs.
    """
    engine = next(filter(engine_answers, ENGINES), None)
    if engine is None:
        raise UserError("--image needs a container engine that runs; accepted: docker, podman or finch")
    command = [engine, "run", "--rm", *mount(root, "/opt/ml")]
    command += [part for name, value in environ.items() for part in ("-e", f"{name}={value}")]
    data = root / CHANNEL
    if verb == "train" and data.is_symlink():  # it must lead to the same path in the container
        command += mount(data.resolve(), str(data.resolve()), "readonly")
    if port:
        command += ["-p", f"127.0.0.1:{port}:8080"]
    if shutil.which("nvidia-smi"):
        command += ["--gpus", "all"]
    if engine != "podman" and os.getuid():  # root in podman's containers is the user outside
        command += ["--user", f"{os.getuid()}:{os.getgid()}"]
    return [*command, image, verb]


def mount(source: Path, target: str, *options: str) -> list[str]:
    """Return the arguments that show the folder `source` in a container as `target`.

    They are a row of CSV, so that a path may have commas and quotes, and colons, which would end it behind -v.
    """
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(["type=bind", f"source={source}", f"target={target}", *options])
    return ["--mount", row.getvalue().removesuffix("\n")]


@contextmanager
def training(root: Path, image: str, output: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Train in `root` until training ends, or stop it if the block raises; `output` is Popen's, for output and errors.

    Raises TrainingFailed with the cause if training fails, and UserError if it cannot be started.
    """
    wait_for_earlier(root)
    command = command_of("train", root, image)
    with children.child(command, env=environment_of(), stdout=output, stderr=subprocess.STDOUT) as process:
        yield process
    if process.returncode:
        failure = root / "output/failure"
        cause = failure.read_text(errors="replace").partition("\n")[0] if failure.is_file() else "the log says why"
        raise TrainingFailed(f"training failed: {cause}")


def wait_for_earlier(root: Path) -> None:
    """Wait for the end of a training in `root` whose script was killed. Raises InUse if it does not end."""
    if not is_in_use(root):
        return
    which = f"{process_in(root)} still works in {root}"
    print(f"{which}: waiting until it has stopped", file=sys.stderr, flush=True)
    deadline = time.monotonic() + children.STOP_SECONDS
    while is_in_use(root):
        if time.monotonic() > deadline:
            raise InUse(f"{which}; accepted: one training at a time in a folder")
        time.sleep(0.1)


def process_in(root: Path) -> str:
    """Return the words for the training process in `root`, with its number where that is not a container's."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or ()
        if str(root) in command and any(Path(part).name == "train" for part in command):
            return f"process {process.pid}"
    return "a training process"
