"""Serving on the GPU: forward passes alone and beside busy threads, decoding, and the whole server."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import front
import numpy as np
import torch
from machine import CORES
from together import together

from classifier import artifact, images, network
from classifier.artifact import Artifact
from classifier.serving.fixed_batch import FixedBatch
from classifier.serving.folded_network import FoldedNetwork
from classifier.training.artifact_files import save_artifact
from classifier.training.profiling.system import gpu_shares

SIZE, CLASSES, SECONDS = 224, tuple(map(str, range(120))), 5
SIZES, THREADS, CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128), (0, 1, 4, 16), (1, 8, 32, 128)
JPEG = {"Content-Type": "image/jpeg"}
SERVE = Path(__file__).parents[1] / "container" / "serve"


def measure(where: torch.device, photos: Path) -> Iterator[tuple]:
    """Yield the tables."""
    files = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))[:64]]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        save_artifact(root / "model", Artifact(CLASSES, SIZE, 1e-5), network.build(len(CLASSES), 1e-5).state_dict())
        columns = ("images", "eager, ms", "graph, ms")
        yield f"forward in fp16 with both copies at {SIZE} px", columns, forwards(root / "model", where)
        columns = ("busy threads", "images", "eager, ms", "graph, ms")
        yield "forward beside busy Python threads", columns, beside_threads(root / "model", where)
        one, all_cores = decoding(files, 1), decoding(files, CORES)
        yield "decoding, images/s", ("processes", "images/s"), [(1, one), (CORES, all_cores)]
        columns = ("connections", "requests/s", "p50, ms", "p99, ms", "GPU busy", "GPU memory, share", "of decoding")
        yield "the server", columns, [(*row, row[1] / all_cores) for row in server(root, files, where)]


def make_forwards(folder: Path, n: int, where: torch.device) -> tuple[Callable, Callable]:
    """Return the forward pass for n images as separate calls, and as a graph; both copy to the GPU and back."""
    about = artifact.read(folder)
    folded = FoldedNetwork(artifact.read_weights(folder, about), about, where, torch.float16)
    pixels = np.random.default_rng(n).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)
    graph = FixedBatch(folded, n, SIZE, where)
    return lambda: folded(torch.from_numpy(pixels).to(where)).cpu(), lambda: graph(pixels)


def milliseconds(call: Callable, times: int) -> float:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - started))
    return statistics.median(found)


def forwards(folder: Path, where: torch.device, times: int = 60) -> list[tuple]:
    rows = []
    for n in SIZES:
        eager, graph = make_forwards(folder, n, where)
        eager()
        rows.append((n, milliseconds(eager, times), milliseconds(graph, times)))
    return rows


def beside_threads(folder: Path, where: torch.device, times: int = 3) -> list[tuple]:
    """Return rows of medians; few, since an eager forward may take a second here."""
    rows = []
    for n in (1, 32):
        eager, graph = make_forwards(folder, n, where)
        eager()
        for number in THREADS:
            over = threading.Event()

            def be_busy(over: threading.Event = over) -> None:
                while not over.is_set():
                    sum(range(1000))

            busy = [threading.Thread(target=be_busy, daemon=True) for _ in range(number)]
            for thread in busy:
                thread.start()
            rows.append((number, n, milliseconds(eager, times), milliseconds(graph, 5 * times)))
            over.set()
            for thread in busy:
                thread.join()
    return rows


def decode_for_a_while(files: list[bytes]) -> float:
    """Return the images/s that this process decodes."""
    started, done = time.perf_counter(), 0
    while time.perf_counter() < started + SECONDS:
        images.evaluation_pixels(files[done % len(files)], SIZE)
        done += 1
    return done / (time.perf_counter() - started)


def decoding(files: list[bytes], processes: int) -> float:
    return sum(together(decode_for_a_while, [(files,)] * processes))


def server(root: Path, files: list[bytes], where: torch.device) -> Iterator[tuple]:
    """Yield a row for each number of connections."""
    environ = os.environ | {"SAGEMAKER_BIND_TO_PORT": str(front.PORT), "SERVE_ACCESS_LOG": "off"}
    command = [sys.executable, str(SERVE), "--root", str(root)]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            front.wait_for_ping(process)
            for connections in CONNECTIONS:
                yield connections, *under_load(files, connections, where)
        finally:
            process.send_signal(signal.SIGTERM)


def under_load(files: list[bytes], connections: int, where: torch.device) -> tuple[float | None, ...]:
    """Return requests/s, p50 and p99 in ms, and the GPU's busy share and its memory's; None where these are unknown."""
    processes = min(connections, CORES)
    shares = [connections // processes + (place < connections % processes) for place in range(processes)]
    samples = []
    asked = together(keep_asking, [(files, n) for n in shares], lambda: samples.append(gpu_shares(where)))
    times = sorted(sum(asked, []))
    busy, memory = map(mean_of_known, zip(*samples, strict=True))
    ms = [1000 * times[int(len(times) * share)] for share in (0.5, 0.99)]
    return len(times) / SECONDS, *ms, busy, memory


def mean_of_known(shares: Iterable[float | None]) -> float | None:
    """Return the mean of what the driver has told; None if it tells nothing."""
    known = [share for share in shares if share is not None]
    return statistics.mean(known) if known else None


def keep_asking(files: list[bytes], connections: int) -> list[float]:
    """Ask on so many connections at a time, and return the seconds of each answer within SECONDS."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS

    def ask(place: int) -> None:
        connection = HTTPConnection("127.0.0.1", front.PORT)
        while time.perf_counter() < end:
            started, place = time.perf_counter(), place + 1
            connection.request("POST", "/invocations", files[place % len(files)], JPEG)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or "predictions" not in json.loads(body):
                raise RuntimeError(f"{answer.status}: {body[:200]!r}")
            if (now := time.perf_counter()) < end:
                times.append(now - started)

    threads = [threading.Thread(target=ask, args=(7 * place,)) for place in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times
