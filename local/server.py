"""The server on this computer: start it in the background, and stop it."""

import socket
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import psutil

from classifier.errors import UserError
from local import children, places, programs

# SageMaker's own time limits: until the first successful /ping, and between SIGTERM and SIGKILL.
START_SECONDS, STOP_SECONDS = 240, 30
STARTING = "starting a server with {}'s model, which takes some seconds"
MODEL = "model/model.json"
# What people and their scripts expect, as the image has it.
PORT = 8080
# How far the system's clock may be set while the server runs, which its start time is counted from.
CLOCK_SECONDS = 60


def folder_of(job: str) -> Path:
    """Return the folder of a job. Raises UserError if there is none, or if it has no model."""
    root = places.run_folder(job)
    if (root / MODEL).exists():
        return root
    if not (root / programs.HYPERPARAMETERS).exists():  # nothing that could be resumed
        raise places.no_run("job", job, MODEL)
    how = f"--job NAME for another, or launch/train.py --local --resume {job}"
    raise UserError(f"{job} has no model in {root / 'model'}; accepted: {how}")


def start(root: Path, image: str, environ: Mapping[str, str] = MappingProxyType({})) -> str:
    """Start a server with the model of a job's folder in the background, after stopping the last one; return its URL.

    `environ` has variables for it.
    Raises UserError if the server ends, or does not answer in time. Then, and if this is interrupted, it is stopped.
    """
    stop()
    port = free_port()
    address, log = f"http://127.0.0.1:{port}", root / "serve.log"
    with log.open("ab") as stream:
        process = programs.start_server(root, image, port, stream, environ)
    try:
        started = round(psutil.Process(process.pid).create_time())
        places.note(local_pid=str(process.pid), local_started=str(started), local_url=address)
        end = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < end:
            with suppress(OSError), urllib.request.urlopen(f"{address}/ping", timeout=2):
                if image or listens(process.pid, port):
                    process.returncode = 0  # it outlives this process, which Popen would warn of
                    return address
            time.sleep(0.2)
        what = f"did not answer within {START_SECONDS} s" if process.poll() is None else "ended before it answered"
        raise UserError(f"the server {what}; {log} says why")
    except BaseException:
        children.stop(process, STOP_SECONDS)
        forget()
        raise


def free_port() -> int:
    """Return PORT or, if a program listens there, another port that is free."""
    for port in (PORT, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
            probe.bind(("", port))
            return probe.getsockname()[1]
    raise UserError("no port is free on this computer")


def listens(pid: int, port: int) -> bool:
    """Return whether it is this process that listens at `port`, and not one that was quicker."""
    with suppress(psutil.Error):
        return any(one.laddr and one.laddr.port == port for one in psutil.Process(pid).net_connections("tcp"))
    return False


def running() -> psutil.Process | None:
    """Return the process of the server that was last started; None if it has ended.

    Process ids are reused: another process has another start time, and another command.
    """
    with suppress(psutil.Error, KeyError, ValueError):
        noted = places.noted_or_none()
        process = psutil.Process(int(noted["local_pid"]))
        started_then = abs(process.create_time() - int(noted["local_started"])) < CLOCK_SECONDS
        return process if started_then and serves(process.cmdline()) else None
    return None


def serves(command: list[str]) -> bool:
    """Return whether a command runs container/serve with a folder of runs/, with this Python or in a container."""
    in_container = any(f"source={places.RUNS}/" in part for part in command)
    return str(places.CONTAINER / "serve") in command or (in_container and command[-1] == "serve")


def url() -> str:
    """Return the URL of the server that was last started. Raises UserError if none was, or if it has ended.

    Whatever answers at its address then is another server, perhaps with another model.
    """
    noted = places.latest("local_url")
    if not running():
        raise UserError(f"the server at {noted} has ended: run launch/deploy.py --local, or give another one by --url")
    return noted


def described() -> str:
    """Return the server that runs here, in words; "" if none does."""
    process = running()
    return f"a server at {url()}, process {process.pid}" if process else ""


def stop() -> bool:
    """Stop the server, if it runs; return whether it did. Raises UserError if it is another user's, or does not end."""
    process = running()
    if process:
        what = f"the server that runs here, process {process.pid},"
        try:
            process.terminate()
            process.wait(STOP_SECONDS)
        except psutil.NoSuchProcess:
            pass  # it has just ended by itself
        except psutil.TimeoutExpired as error:
            raise UserError(f"{what} does not end within {STOP_SECONDS} s; kill -9 {process.pid} ends it") from error
        except psutil.AccessDenied as error:
            raise UserError(f"{what} is another user's; accepted: that user, or root") from error
    forget()
    return process is not None


def forget() -> None:
    """Take the server out of the latest names; on a disk that is full it stays, and is known to have ended."""
    with suppress(OSError):
        places.note(local_pid="", local_started="", local_url="")
