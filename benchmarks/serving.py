"""Compare our server with others in one run and in turns: same photos, same trained model, one load generator (wrk).

Usage: python benchmarks/serving.py PHOTOS MODEL [--only WORDS ...] [--rounds N] [--seconds N] [--before CHECKOUT MODEL]

PHOTOS is a folder with JPEG files, MODEL an artifact with model.onnx and model.int8.onnx, which the peers read. The
peers are in peers/, each as its documentation advises, and each with the fastest engine for that file. They run in this
script's environment (requirements/bench.txt). Each round starts every server anew, checks its answers, warms it up and
loads it with 1, 8, 32 and 128 connections for so many seconds each; the table has the medians of the rounds. wrk runs
on the same cores, and its own processor time is not counted.

The limit is decoding and the model alone: one process per core does nothing else.
"""

import argparse
import base64
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import arguments
import machine
from machine import CORES
from peers import engines
from servers import OURS, Running, Server, all_servers

CONNECTIONS = (1, 8, 32, 128)
BATCH = 8
PHOTOS = 100
CHECKED = 20
LIMIT_S = 3
BOUNDARY = "photo"
# Media type by the way in which a server takes a photo.
MEDIA_TYPES = {
    "body": "image/jpeg",
    "json": "application/json",
    "form": f"multipart/form-data; boundary={BOUNDARY}",
}
# What the table shows at each number of connections: the column, the figure and whether more is better.
FIGURES = (
    ("CPU ms a request", "cpu", False),
    ("requests/s", "rate", True),
    ("p50 ms", "p50", False),
    ("p99 ms", "p99", False),
)
Result = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=arguments.photos)
    parser.add_argument("model", type=arguments.prepared_model)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="servers with one of these words in their name, and ours"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--before", type=Path, nargs=2, metavar=("CHECKOUT", "MODEL"), help="ours of an earlier commit")
    given = parser.parse_args()
    photos, start = sorted(given.photos.resolve().rglob("*.jpg"))[:PHOTOS], time.monotonic()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        bodies = {takes: write_bodies(photos, takes, scratch / takes) for takes in MEDIA_TYPES}
        found = all_servers(scratch, given.model.resolve(), given.before)
        servers = [one for one in found if one.name.startswith(OURS) or any(word in one.name for word in given.only)]
        results: dict[str, list[Result]] = {server.name: [] for server in servers}
        limits, classes = [], {}
        for i in range(given.rounds):
            limits.append(measure_limit(given.model, photos))
            for server in servers:
                print(f"round {i + 1} of {given.rounds}: {server.name}", file=sys.stderr)
                result, classes[server.name] = measure(server, scratch, bodies[server.takes], given.seconds)
                results[server.name].append(result)
    minutes = (time.monotonic() - start) / 60
    print(f"\n{machine.heading()}; {len(photos)} photos, medians of {given.rounds} rounds, {minutes:.1f} minutes,")
    at = " / ".join(map(str, CONNECTIONS))
    print(f"load of other programs before {busy:.1f}; figures with strokes are at {at} connections\n")
    same = {name: sum(a == b for a, b in zip(one, classes[OURS], strict=True)) for name, one in classes.items()}
    print_table({name: middle(result) for name, result in results.items()}, middle(limits), same)


def measure(server: Server, scratch: Path, files: list[Path], seconds: int) -> tuple[Result, list[str]]:
    """Return one round's figures of a server, and the classes that it answers to the first photos."""
    media_type = MEDIA_TYPES[server.takes]
    with Running(server, scratch, (media_type, files[0])) as running:
        classes = [running.top_class(media_type, file) for file in files[:CHECKED]]
        running.load(media_type, files, 32, 2)  # the first requests load what servers load lazily
        warm = running.memory_mb()
        loads = [running.load(media_type, files, connections, seconds) for connections in CONNECTIONS]
        figures = {name: [one[name] for one in loads] for name in loads[0]}
        return figures | {"start": [running.first_answer_s], "memory": [warm, running.memory_mb()]}, classes


def measure_limit(model: Path, photos: list[Path]) -> Result:
    """Return ms of CPU an image and the images/s of all cores together, as figures of a server without HTTP."""
    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as processes:
        running = [processes.submit(decode_and_classify, model, photos) for _ in range(CORES)]
        rates, cpus = zip(*[one.result() for one in running], strict=True)
    return {"cpu": [statistics.mean(cpus)], "rate": [sum(rates)]}


def decode_and_classify(model: Path, photos: list[Path]) -> tuple[float, float]:
    """Return images/s and ms of CPU an image, of one core. Runs in a separate process."""
    import numpy as np

    from classifier.images import evaluation_pixels

    forward = engines.openvino(model / "model.int8.onnx", threads=1, batch=BATCH)
    data, size = [path.read_bytes() for path in photos], json.loads((model / "model.json").read_text())["image_size"]

    def classify(first: int) -> None:
        batch = [data[(first + i) % len(data)] for i in range(BATCH)]
        forward(np.stack([evaluation_pixels(one, size) for one in batch]))

    classify(0)
    done, start, cpu = 0, time.monotonic(), time.process_time()
    while (elapsed := time.monotonic() - start) < LIMIT_S:
        classify(done)
        done += BATCH
    return done / elapsed, 1000 * (time.process_time() - cpu) / done


def middle(results: list[Result]) -> Result:
    """Return the median of each figure."""
    return {
        name: [statistics.median(one) for one in zip(*(r[name] for r in results), strict=True)] for name in results[0]
    }


def print_table(results: dict[str, Result], limit: Result, same: dict[str, int]) -> None:
    """Print a row for each server, the ratios of ours to the best peer and to the limit, and the limit."""
    columns = [*FIGURES, ("first answer s", "start", False), ("MB warm / loaded", "memory", False)]
    titles = [title for title, _, _ in columns]
    print(f"| server | {' | '.join(titles)} | errors | as ours, of {CHECKED} |\n|---|{'---|' * (len(titles) + 2)}")
    for name, result in results.items():
        cells = [cell(result[figure]) for _, figure, _ in columns]
        print(f"| {name} | {' | '.join(cells)} | {sum(result['errors']):.0f} | {same[name]} |")
    peers = [result for name, result in results.items() if not name.startswith(OURS)]
    if peers:
        ratios = []
        for _, figure, more in columns:
            best = [(max if more else min)(one) for one in zip(*(peer[figure] for peer in peers), strict=True)]
            ratios.append(" / ".join(f"{a / b:.2f}" for a, b in zip(results[OURS][figure], best, strict=True)))
        print(f"| **ours to the best peer** | {' | '.join(ratios)} | | |")
    shares = [" / ".join(f"{a / limit[figure][0]:.2f}" for a in results[OURS][figure]) for figure in ("cpu", "rate")]
    print(f"| ours to the limit | {' | '.join(shares)} | | | | | | |")
    print(f"| the limit: decoding and the model | {cell(limit['cpu'])} | {cell(limit['rate'])} | | | | | | |")


def cell(figures: list[float]) -> str:
    return " / ".join(f"{one:,.1f}" if one < 100 else f"{one:,.0f}" for one in figures)


def write_bodies(photos: list[Path], takes: str, folder: Path) -> list[Path]:
    """Write the photos as bodies of requests, and return the files."""
    folder.mkdir()
    files = [folder / photo.with_suffix(f".{i}").name for i, photo in enumerate(photos)]
    for photo, file in zip(photos, files, strict=True):
        data = photo.read_bytes()
        if takes == "json":
            data = json.dumps({"image": base64.b64encode(data).decode()}).encode()
        elif takes == "form":
            head = 'Content-Disposition: form-data; name="images"; filename="photo.jpg"\r\nContent-Type: image/jpeg'
            data = f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
        file.write_bytes(data)
    return files


if __name__ == "__main__":
    main()
