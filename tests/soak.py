"""Many requests to the real server, good and bad: memory stays flat and no descriptor is lost.

Usage: python tests/soak.py [--requests N]     (`make soak`)

The network is random and its images have 64 pixels, so that the load is on the server and not on the model. Of ten
requests one is not an image, one is damaged, one has an odd size, one is JSON with four images, and one is broken off
by the client. Exits with 1 if an answer is wrong or the server holds more at the end than after a fifth.
"""

import argparse
import base64
import itertools
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

import psutil

from classifier import network
from classifier.artifact import Artifact
from classifier.training.artifact_files import save_artifact
from helpers import Server, encode, photo, serve
from waits import PATIENCE_S

THREADS = 12
GROWTH_MB = 40
JPEGS = [encode(photo(200 + 40 * i, 300 - 30 * i, seed=i)) for i in range(6)]
JSON = json.dumps({"images": [base64.b64encode(data).decode() for data in JPEGS[:4]]}).encode()
KINDS = (
    *[(JPEGS[i], "image/jpeg", 200) for i in range(5)],
    (JPEGS[0][:-300], "image/jpeg", 400),
    (b"hello", "image/png", 400),
    (encode(photo(1500, 900), "PNG", compress_level=1), "image/png", 200),
    (JSON, "application/json", 200),
    None,
)


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    total = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as name:
        weights = network.build(10, eps=1e-5).state_dict()
        save_artifact(Path(name, "model"), Artifact(tuple("abcdefghij"), 64, 1e-5), weights)
        with serve(Path(name), Path(name, "log"), SERVE_ACCESS_LOG="off") as server:
            server.wait_for_ping(200)
            return soak(server, total)


def soak(server: Server, total: int) -> str | None:
    worker, start = psutil.Process(server.workers[0]), time.monotonic()
    wrong: Counter = Counter()
    held = {}
    for done in range(0, total, total // 10):
        turns = itertools.islice(itertools.count(done), total // 10)
        lock = threading.Lock()
        threads = [threading.Thread(target=ask, args=(server, turns, lock, wrong)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(2)  # for the connections that linger
        held[done] = worker.memory_info().rss / 1e6, worker.num_fds(), worker.num_threads()
        rate = (done + total // 10) / (time.monotonic() - start)
        print(
            f"{done + total // 10:7,} requests, {rate:4.0f}/s: {held[done][0]:6.0f} MB, {held[done][1]} descriptors, "
            f"{held[done][2]} threads",
            flush=True,
        )
    first, last = list(held.values())[1], list(held.values())[-1]
    if wrong or len(server.workers) > 1:
        return f"wrong answers: {dict(wrong)}; workers: {len(server.workers)}"
    if last[0] > first[0] + GROWTH_MB or last[1] > first[1]:
        return f"it grew from {first} to {last} (MB, descriptors, threads)"
    return None


def ask(server: Server, turns, lock: threading.Lock, wrong: Counter) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    chance = random.Random(threading.get_ident())
    while True:
        with lock:
            turn = next(turns, None)
        if turn is None:
            return connection.close()
        kind = chance.choice(KINDS)
        if kind is None:
            break_off(server)
            continue
        body, content_type, expected = kind
        connection.request("POST", "/invocations", body, {"Content-Type": content_type})
        response = connection.getresponse()
        response.read()
        if response.status != expected:
            wrong[response.status] += 1


def break_off(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nabc")


if __name__ == "__main__":
    sys.exit(main())
