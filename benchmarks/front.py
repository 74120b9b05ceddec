"""What it costs to receive and to answer a request, with no decoder and no model behind HTTP, and with a small one.

Usage: python benchmarks/front.py [--seconds N] [--fronts N ...] [--serve PATH ...]

Sends a photo of 104 kB on 1, 32 and 128 connections (wrk) to container/serve, or to those of other checkouts, in turn,
each with one serving process, or with each number of them that is given.
"""

import argparse
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

import environment
from classifier import network
from classifier.artifact import Artifact
from classifier.training.artifact_files import save_artifact

HERE = Path(__file__).parent
PORT = 18190
START_S = 60
SIZE = 64
# Run in the server before it starts: decoding and the model take no time.
NOTHING = f"""
from concurrent.futures import Future
import numpy as np
import classifier.images as images, classifier.serving.server as server
from classifier.serving.batcher import Outcome
PIXELS, ANSWER, model_of = np.zeros(({SIZE}, {SIZE}, 3), np.uint8), Future(), server.model_of
ANSWER.set_result(Outcome(np.full(10, .1, np.float32), 0, 0, 1))
images.evaluation_pixels = lambda *_: PIXELS
server.model_of = lambda *arguments: model_of(*arguments)._replace(submit=lambda *_: ANSWER)
"""
BEHIND = {"nothing": NOTHING, "a small model": ""}


def photo() -> bytes:
    """Return a JPEG of 104 kB."""
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    image, stream = Image.fromarray(noise).resize((400, 300)), io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()[:104_000].ljust(104_000, b"\0")


def measure(serve: Path, fronts: int, patch: str, scratch: Path, seconds: int) -> None:
    """Print a line for each number of connections to the server of `fronts` processes that is started with `patch`."""
    run = f"{patch}\nimport runpy, sys; sys.argv[0] = {str(serve)!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    environ = os.environ | {"PYTHONPATH": str(serve.parent), "SAGEMAKER_BIND_TO_PORT": str(PORT)}
    environ["SAGEMAKER_MODEL_SERVER_WORKERS"] = str(fronts)
    command = [sys.executable, "-c", run, "--root", scratch]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_ping(process)
            processes = psutil.Process(process.pid).children()
            load(16, 2, scratch)
            for connections in (1, 32, 128):
                before = cpu_seconds(processes)
                requests, rate = load(connections, seconds, scratch)
                ms = 1000 * (cpu_seconds(processes) - before) / requests
                print(
                    f"    {connections:3} connections: {rate:5.0f} requests/s, {ms:5.2f} ms of CPU a request",
                    flush=True,
                )
        finally:
            process.send_signal(signal.SIGTERM)


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Return what all of them have computed."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def load(connections: int, seconds: int, scratch: Path) -> tuple[int, float]:
    """Return the number of requests that were answered, and the same per second."""
    script = (
        "-s",
        HERE / "peers" / "post.lua",
        f"http://127.0.0.1:{PORT}/invocations",
        "--",
        "image/jpeg",
        scratch / "photo",
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", *script]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    return int(re.findall(r"(\d+) requests in", out)[0]), float(re.findall(r"Requests/sec: +([\d.]+)", out)[0])


def wait_for_ping(process: subprocess.Popen) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ping")
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--fronts", type=int, nargs="+", default=[1])
    parser.add_argument("--serve", type=Path, nargs="+", default=[HERE.parent / "container" / "serve"])
    options = parser.parse_args()
    environment.ask_no_proxy_for_this_computer()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "photo").write_bytes(photo())
        about = Artifact(tuple("abcdefghij"), SIZE, 1e-5)
        save_artifact(scratch / "model", about, network.build(10, eps=1e-5).state_dict())
        for words, patch in BEHIND.items():
            for serve in options.serve:
                for fronts in options.fronts:
                    print(f"{words} behind {serve}, processes: {fronts}", flush=True)
                    measure(serve.resolve(), fronts, patch, scratch, options.seconds)


if __name__ == "__main__":
    main()
