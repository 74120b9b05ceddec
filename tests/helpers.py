"""Images to send, and the real serving process to send them to."""

import http.client
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from waits import PATIENCE_S, wait_until

REGION = "eu-west-1"
CREDENTIALS = ("nobody", "nothing")
# Keeps a test and the processes it starts from AWS: an endpoint and a proxy where nothing listens, invalid credentials,
# and none of the user's files.
NOBODY = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",  # small letters count before capitals, which a machine may have
    "http_proxy": "",
    "all_proxy": "",
    "no_proxy": "127.0.0.1,localhost",
    "AWS_ACCESS_KEY_ID": CREDENTIALS[0],
    "AWS_SECRET_ACCESS_KEY": CREDENTIALS[1],
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
SERVE = Path(__file__).parents[1] / "container" / "serve"


def python_path(folder: Path) -> str:
    """Return PYTHONPATH with `folder` before what it has: the packages of a machine may be there."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a picture of soft colours, which a lossy format keeps; it differs for each seed."""
    few = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, file_format: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float


@dataclass
class Server:
    """A running container/serve."""

    process: subprocess.Popen
    port: int
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    @property
    def workers(self) -> list[int]:
        """The process ids of all workers so far, the latest last."""
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log)]

    def wait_for_connections(self, number: int) -> None:
        """Return once the latest worker has accepted `number` connections that are still open."""
        worker = psutil.Process(self.workers[-1])
        wait_until(
            lambda: sum(one.status == psutil.CONN_ESTABLISHED for one in worker.net_connections()) >= number,
            f"{number} connections",
        )

    def wait_for_few_connections(self, most: int) -> None:
        """Return once the workers have at most so many open connections."""
        workers = list(map(psutil.Process, self.workers))
        states = psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT
        wait_until(
            lambda: sum(one.status in states for worker in workers for one in worker.net_connections()) <= most,
            f"at most {most} connections",
        )

    def request(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            data = response.read()
            return Answer(response.status, response.headers, data, time.monotonic() - start)
        finally:
            connection.close()

    def wait_for_ping(self, status: int) -> list[Answer]:
        """Ask /ping until it answers `status`, and return all its answers."""
        answers: list[Answer] = []
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                answers.append(self.request("GET", "/ping"))
                if answers[-1].status == status:
                    return answers
            except (ConnectionError, http.client.HTTPException):
                pass  # not listening yet
            time.sleep(0.05)
        raise AssertionError(f"/ping did not answer {status}; log:\n{self.log}")


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@contextmanager
def serve(root: Path, log_file: Path, patch: str = "", **environ: str) -> Iterator[Server]:
    """Start container/serve in a new process group, after running `patch`, Python that alters the server.

    It has one serving process, whatever the machine, unless SAGEMAKER_MODEL_SERVER_WORKERS says otherwise.
    """
    environ.setdefault("SAGEMAKER_MODEL_SERVER_WORKERS", "1")
    port = int(environ.setdefault("SAGEMAKER_BIND_TO_PORT", str(free_port())))
    code = f"import runpy, sys; sys.argv[0] = {str(SERVE)!r}; {patch}\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    program = ["-c", code] if patch else [str(SERVE)]
    with log_file.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *program, "--root", str(root)],
            stdout=stream,
            stderr=stream,
            env=os.environ | {"PYTHONPATH": python_path(SERVE.parent)} | environ,
            start_new_session=True,
        )
        try:
            yield Server(process, port, log_file)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
