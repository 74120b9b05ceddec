"""Measure a server of ten models: their memory, its load by all at once, and what loading one costs the others.

Usage: python benchmarks/multi.py PHOTOS [--root FOLDER] [--seconds N] [--swaps N]

PHOTOS/train has a folder per class. Ten small jobs of container/train make ten models, each of another pair of classes;
--root keeps them, for another run. Clients and server share the cores. Every answer must be of its model's classes.
"""

import argparse
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import machine
import numpy as np
import psutil

CONTAINER = Path(__file__).parents[1] / "container"
PORT = 18200
MODELS, CONNECTIONS = 10, 32
VALUES = {"weights": "none", "epochs": "1", "augmentation": "none", "debug": "off", "profile": "off"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--swaps", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.root or Path(scratch)
        classes = [train(root, number, pair) for number, pair in enumerate(pairs(arguments.photos / "train"))]
        print(machine.heading())
        with serving(root) as server:
            measure(server, root / "models", classes, arguments)


def pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Return ten pairs of class folders."""
    names = sorted(path for path in folder.iterdir() if path.is_dir())
    return itertools.islice(itertools.combinations(names, 2), MODELS)


def train(root: Path, number: int, pair: tuple[Path, Path]) -> set[str]:
    """Train model `number`, unless it is there, and return its classes."""
    home = root / "models" / f"m{number}"
    if not (home / "model/model.json").exists():
        (home / "input/config").mkdir(parents=True)
        (home / "input/data/train").mkdir(parents=True)
        (home / "input/config/hyperparameters.json").write_text(json.dumps(VALUES))
        for folder in pair:
            (home / "input/data/train" / folder.name).symlink_to(folder.resolve())
        subprocess.run([sys.executable, CONTAINER / "train", "--root", home], check=True, capture_output=True)
    return {folder.name for folder in pair}


@contextmanager
def serving(root: Path) -> Iterator[psutil.Process]:
    """Yield the process that has the models."""
    environ = {"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BIND_TO_PORT": str(PORT), "SERVE_ACCESS_LOG": "off"}
    command = [sys.executable, CONTAINER / "serve", "--root", root]
    with subprocess.Popen(command, env=os.environ | environ, stderr=subprocess.DEVNULL) as process:
        try:
            while not is_ready():
                time.sleep(0.05)
            yield psutil.Process(process.pid).children()[0]
        finally:
            process.terminate()


def is_ready() -> bool:
    try:
        return Client().ask("GET", "/ping")[0] == 200
    except OSError:
        return False


class Client:
    """A connection to the server."""

    def __init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self.connection.request(method, path, body, {"Content-Type": "application/x-image"})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def load(self, folder: Path, name: str = "") -> None:
        name = name or folder.parent.name
        status, answer = self.ask("POST", "/models", json.dumps({"model_name": name, "url": str(folder)}).encode())
        assert status == 200, answer

    def unload(self, name: str) -> None:
        assert self.ask("DELETE", f"/models/{name}")[0] == 200

    def classify(self, number: int, photo: bytes, classes: set[str]) -> float:
        """Return the milliseconds of an answer; exit if it is wrong."""
        start = time.monotonic()
        status, answer = self.ask("POST", f"/models/m{number}/invoke", photo)
        milliseconds = 1000 * (time.monotonic() - start)
        if status != 200 or {one["class"] for one in json.loads(answer)["predictions"]} != classes:
            sys.exit(f"m{number} answered {status}: {answer.decode()}")
        return milliseconds


def measure(server: psutil.Process, folder: Path, classes: list[set[str]], arguments: argparse.Namespace) -> None:
    models = [(folder / f"m{number}/model").resolve() for number in range(MODELS)]
    photos = [path.read_bytes() for path in sorted(arguments.photos.glob("train/*/*"))[::7]]
    before, start = memory(server), time.monotonic()
    with ThreadPoolExecutor(MODELS) as pool:
        list(pool.map(lambda model: Client().load(model), models))
    seconds = time.monotonic() - start
    after = memory(server)
    print(f"{MODELS} models loaded at once in {seconds:.1f} s; memory {before:.0f} MB before, {after:.0f} after")

    def ask(connection: int, end: float) -> list[float]:
        client, turns, times = Client(), itertools.count(connection), []
        while time.monotonic() < end:
            turn = next(turns)
            times.append(client.classify(turn % MODELS, photos[turn % len(photos)], classes[turn % MODELS]))
        return times

    report(
        f"all models, {CONNECTIONS} connections", in_parallel(ask, CONNECTIONS, arguments.seconds), arguments.seconds
    )

    def ask_one(_: int, end: float) -> list[float]:
        client, turns, times = Client(), itertools.count(), []
        while time.monotonic() < end:
            times.append(client.classify(0, photos[next(turns) % len(photos)], classes[0]))
        return times

    for connections in (1, 8):
        alone = in_parallel(ask_one, connections, arguments.seconds)
        report(f"one model, {connections} connections", alone, arguments.seconds)
        with swapping(models[1:]):
            beside = in_parallel(ask_one, connections, arguments.seconds)
        report("the same while others are unloaded and loaded all the time", beside, arguments.seconds)
        print(f"p99 is {np.percentile(beside, 99) / np.percentile(alone, 99):.2f} times as long")

    client, seen = Client(), [memory(server)]
    for swap in range(arguments.swaps):
        client.unload(f"m{swap % MODELS}")
        client.load(models[swap % MODELS])
        if swap % max(1, arguments.swaps // 4) == 0:
            seen.append(memory(server))
    seen.append(memory(server))
    print(f"memory over {arguments.swaps} unloads and loads: {', '.join(f'{mb:.0f}' for mb in seen)} MB")


def in_parallel(ask: Callable[[int, float], list[float]], connections: int, seconds: float) -> list[float]:
    """Return the milliseconds of all answers over so many connections."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(connections) as pool:
        return [one for times in pool.map(lambda number: ask(number, end), range(connections)) for one in times]


@contextmanager
def swapping(models: list[Path]) -> Iterator[None]:
    """Unload and load the models in turn, as long as the block lasts."""
    ended = threading.Event()

    def swap() -> None:
        client = Client()
        for model in itertools.cycle(models):
            if ended.is_set():
                return
            client.unload(model.parent.name)
            client.load(model)

    with ThreadPoolExecutor(1) as pool:
        swaps = pool.submit(swap)
        try:
            yield
        finally:
            ended.set()
            swaps.result()


def report(what: str, times: list[float], seconds: float) -> None:
    p50, p99 = np.percentile(times, (50, 99))
    print(f"{what}: {len(times) / seconds:.1f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)


def memory(process: psutil.Process) -> float:
    """Return the process's memory in MB."""
    return process.memory_info().rss / 1e6


if __name__ == "__main__":
    main()
