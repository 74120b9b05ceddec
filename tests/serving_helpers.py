"""What tests of container/serve share: SageMaker's deadlines, requests, and patches that alter the network."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from classifier.serving.share import choose_share
from helpers import Answer, Server, encode, photo, serve
from waits import PATIENCE_S

# SageMaker's deadlines: for the first good ping, for each ping, for each answer, and between SIGTERM and SIGKILL.
START_SECONDS, PING_SECONDS, ANSWER_SECONDS, STOP_SECONDS = 240, 2, 60, 30
THREADS = choose_share(1).threads
JPEG = encode(photo(300, 200))


def invoke(server: Server, body: bytes | Iterable[bytes] = JPEG, **headers: str) -> Answer:
    """Return the answer to an image, or to another body."""
    return server.request("POST", "/invocations", body, {"Content-Type": "image/jpeg"} | headers)


def assert_error(answer: Answer, status: int, sentence: str) -> None:
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert sentence in json.loads(answer.body)["error"]


def open_request(server: Server) -> socket.socket:
    """Return a connection on which one request was sent and nothing read."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(JPEG)}\r\n\r\n"
    connection.sendall(head.encode() + JPEG)
    return connection


def status_of(connection: socket.socket) -> bytes:
    """Return the status line that arrives on the connection, empty if it is closed without an answer."""
    with connection, connection.makefile("rb") as stream:
        return stream.readline().strip()


def stop(server: Server, number: int) -> float:
    """Send the signal as the outside world does, wait for the end, and return the seconds it took."""
    start = time.monotonic()
    if number in (signal.SIGINT, signal.SIGHUP):
        os.killpg(server.process.pid, number)  # Ctrl-C and the end of a terminal reach all its processes
    else:
        server.process.send_signal(number)
    assert server.process.wait(PATIENCE_S) == 0
    return time.monotonic() - start


def run_to_its_end(root: Path, log_file: Path, patch: str = "", **environ: str) -> tuple[int, str, Server]:
    """Return exit code, log and process of a server that ends by itself."""
    with serve(root, log_file, patch, **environ) as server:
        return server.process.wait(PATIENCE_S), server.log, server


def statuses_after_sigterm(server: Server, requests: int) -> set[bytes]:
    """Send so many requests, stop the server, and return the status lines that they are answered with."""
    connections = [open_request(server) for _ in range(requests)]
    server.process.send_signal(signal.SIGTERM)
    statuses = {status_of(connection) for connection in connections}
    assert server.process.wait(PATIENCE_S) == 0
    return statuses


def patched_network(before: str) -> str:
    """Return Python with which the statements `before` are run before each forward pass."""
    return f"""
import os, time
from classifier.engine import Engine
open_engine = Engine.open
def open_patched_engine(self):
    run = open_engine(self)
    def run_later(pixels):
        {before}
        return run(pixels)
    return run_later
Engine.open = open_patched_engine
"""


def slowed(seconds: float) -> str:
    """Return Python that makes each forward pass take so much longer."""
    return patched_network(f"time.sleep({seconds})")


def held(file: Path) -> str:
    """Return Python that makes the network wait as long as `file` exists."""
    return patched_network(f"while os.path.exists({str(file)!r}): time.sleep(0.01)")


def breakable(broken: Path) -> str:
    """Return Python that makes every forward pass fail as long as the file `broken` exists."""
    return patched_network(f"if os.path.exists({str(broken)!r}): raise RuntimeError('device-side assert triggered')")
