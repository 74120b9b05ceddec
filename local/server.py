"""The server on this computer: start it in the background, and stop it."""

import socket
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil

from classifier.errors import UserError
from local import places, programs

# SageMaker's own time limits: until the first successful /ping, and between SIGTERM and SIGKILL.
START_SECONDS, STOP_SECONDS = 240, 30


def folder_of(job: str) -> Path:
    """Return the folder of a job. Raises UserError if there is none, or if it has no model."""
    root = places.run_folder(job)
    if not (root / "model/model.json").exists():
        raise UserError(f"{job} has no model in {root / 'model'}")
    return root


def start(root: Path, image: str) -> str:
    """Start a server with the model of a job's folder in the background, after stopping the last one; return its URL.

    Raises UserError if the server does not answer in time.
    """
    stop()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", root / "serve.log"
    with log.open("ab") as stream:
        process = programs.start_program("serve", root, image, port, stream, detached=True)
    places.note(local_pid=str(process.pid), local_url=url)
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=2):
            return url
        time.sleep(0.2)
    stop()
    raise UserError(f"the server did not answer within {START_SECONDS} s, or ended; {log} says why")


def running() -> psutil.Process | None:
    """Return the process of the server that was last started; None if it has ended."""
    with suppress(psutil.Error, KeyError, ValueError):
        process = psutil.Process(int(places.noted_or_none()["local_pid"]))
        return process if str(places.RUNS) in " ".join(process.cmdline()) else None  # process ids are reused
    return None


def stop() -> bool:
    """Stop the server, if it runs; return whether it did."""
    process = running()
    if process:
        process.terminate()
        process.wait(STOP_SECONDS)
    places.note(local_pid="", local_url="")
    return process is not None
