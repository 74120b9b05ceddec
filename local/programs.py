"""Run container/train and container/serve in a folder laid out as /opt/ml, with this Python or in the image."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO

from classifier.errors import UserError
from classifier.files import read_json
from local import places

ENGINES = ("docker", "podman", "finch")
# SageMaker's own time limit between SIGTERM and SIGKILL.
TRAIN_STOP_SECONDS = 120
CONFIG = "input/config"


def prepare_job(root: Path, data: Path, hyperparameters: Mapping[str, str]) -> None:
    """Lay `root` out as SageMaker does for a training job with the one channel train, a link to `data`."""
    config, channel = root / CONFIG, root / "input/data/train"
    for folder in (config, channel.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"TrainingInputMode": "File"}}))
    channel.unlink(missing_ok=True)
    channel.symlink_to(data)


def hyperparameters_of(root: Path) -> dict[str, str]:
    """Return the hyperparameters of the job in `root`. Raises UserError if there is no job, or they are damaged."""
    try:
        return read_json(root / CONFIG / "hyperparameters.json")
    except FileNotFoundError as error:
        raise UserError(f"{root} has no job; accepted: the name of one that was started here with --local") from error


def start_program(
    verb: str,
    root: Path,
    image: str,
    port: int = 0,
    output: IO[bytes] | int | None = None,
    detached: bool = False,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.Popen[str]:
    """Start `verb`, train or serve, in `root`; `output`, as Popen takes it, gets its output and errors.

    A detached process does not get the terminal's Ctrl-C. `environ` has variables besides those of this process.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environ)
    environment |= {"SAGEMAKER_BIND_TO_PORT": str(port)} if port else {}
    command = [sys.executable, str(places.CONTAINER / verb), "--root", str(root)]
    command = container_command(verb, root, image, port, environ) if image else command
    return subprocess.Popen(
        command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=detached
    )


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
    data = root / "input/data/train"
    if data.is_symlink():  # it must lead to the same path in the container
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
    """Train in `root` until training ends, or stop it if the block raises; `output` as in start_program.

    Raises UserError with the cause if training fails.
    """
    with start_program("train", root, image, output=output) as process:
        try:
            yield process
            process.wait()
        except BaseException:
            process.terminate()
            process.wait(TRAIN_STOP_SECONDS)
            raise
    if process.returncode:
        failure = root / "output/failure"
        cause = failure.read_text(errors="replace").partition("\n")[0] if failure.is_file() else "the log says why"
        raise UserError(f"training failed: {cause}")
