"""Runs container/train and container/serve on this computer, in a folder laid out as /opt/ml."""

import json
import os
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

CONTAINER = Path(__file__).resolve().parents[1] / "container"
# SageMaker's own deadlines: until the first good /ping, and between SIGTERM and SIGKILL.
START_SECONDS = 240
STOP_SECONDS = 30


def train(root: Path, hyperparameters: Mapping[str, object]) -> None:
    """Train in `root`, whose input/data holds the channels. Raises CalledProcessError where training fails."""
    config = root / "input" / "config" / "hyperparameters.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({name: str(value) for name, value in hyperparameters.items()}))
    subprocess.run([sys.executable, CONTAINER / "train", "--root", root], check=True)


@contextmanager
def server(root: Path) -> Iterator[str]:
    """Serve the model in `root` on a free port, until the block ends; yields the server's URL once it is ready."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {"SAGEMAKER_BIND_TO_PORT": str(port)}
    process = subprocess.Popen([sys.executable, CONTAINER / "serve", "--root", root], env=environment)
    try:
        wait_until_ready(process, url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def predict(url: str, image: bytes) -> list[dict]:
    """The server's predictions for the bytes of one image, the most probable first."""
    headers = {"Content-Type": "application/x-image"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/invocations", image, headers), timeout=60) as answer:
        return json.load(answer)["predictions"]


def wait_until_ready(process: subprocess.Popen, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the server stopped with exit code {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    sys.exit(f"the server was not ready within {START_SECONDS} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
