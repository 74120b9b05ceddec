"""container/serve with several processes, of which each receives, decodes and has a model."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import psutil
import pytest

from helpers import Server, encode, photo, serve
from serving_helpers import invoke, statuses_after_sigterm
from waits import PATIENCE_S, wait_until

FRONTS = 3
JPEG = encode(photo(300, 200))
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(artifact_folder, tmp_path_factory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("fronts") / "log"
    with serve(artifact_folder.parent, log, SAGEMAKER_MODEL_SERVER_WORKERS=str(FRONTS)) as running:
        wait_until(lambda: running.log.count("ready after") == FRONTS, f"{FRONTS} processes have their model")
        yield running


def connections_of(server: Server) -> list[int]:
    """Return how many clients each process has."""
    children = psutil.Process(server.process.pid).children()
    return [sum(c.status == "ESTABLISHED" for c in child.net_connections("tcp")) for child in children]


def ping(server: Server, stack: ExitStack) -> socket.socket:
    """Return a connection on which /ping was answered, and that stays open."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S))
    client.sendall(PING)
    assert client.recv(65536).startswith(b"HTTP/1.1 200")
    return client


def test_few_and_long_connections_are_spread(server):
    with ExitStack() as stack:
        for _ in range(4 * FRONTS):
            ping(server, stack)
        assert connections_of(server) == [4] * FRONTS


def test_many_at_once_are_answered_by_all(server):
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: invoke(server), range(90)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1


def test_a_process_that_hangs_keeps_no_new_connection_from_the_others(server):
    stopped = psutil.Process(server.process.pid).children()[0]
    with ExitStack() as stack:
        for _ in range(2 * FRONTS):
            ping(server, stack)
        stopped.suspend()
        stack.callback(stopped.resume)
        start = time.monotonic()
        for _ in range(3 * FRONTS):
            ping(server, stack)
        assert time.monotonic() - start < PATIENCE_S / 2


def test_a_killed_process_is_replaced_while_the_others_answer(server):
    before = {child.pid for child in psutil.Process(server.process.pid).children()}
    os.kill(min(before), signal.SIGKILL)
    statuses = []

    def is_replaced() -> bool:
        with suppress(ConnectionError):  # the killed process had taken it
            statuses.append(invoke(server).status)
        return server.log.count("ready after") == FRONTS + 1

    wait_until(is_replaced, "the process is replaced and has its model")
    assert set(statuses) == {200}
    assert len({child.pid for child in psutil.Process(server.process.pid).children()}) == FRONTS


def test_once_ping_is_answered_no_process_refuses_a_request_because_it_is_loading(artifact_folder, tmp_path):
    """Each takes a different time to load."""
    patch = "import classifier.images as i, os, time; i.warm_up = lambda: time.sleep(os.getpid() % 3)"
    with serve(artifact_folder.parent, tmp_path / "log", patch, SAGEMAKER_MODEL_SERVER_WORKERS="3") as server:
        server.wait_for_ping(200)
        statuses = set()
        while server.log.count("ready after") < 3:
            with ThreadPoolExecutor(8) as pool:
                statuses |= {answer.status for answer in pool.map(lambda _: invoke(server), range(16))}
        assert statuses == {200}


def test_a_model_that_is_gone_stops_no_process_that_has_it(artifact_folder, tmp_path):
    model, gone = tmp_path / "model", tmp_path / "gone"
    shutil.copytree(artifact_folder, model)
    with serve(tmp_path, tmp_path / "log", SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        wait_until(lambda: server.log.count("ready after") == 2, "2 processes have their model")
        model.rename(gone)
        os.kill(server.workers[0], signal.SIGKILL)
        wait_until(lambda: "others answer, and it is started again in 2 s" in server.log, "the next one has failed")
        assert [invoke(server).status for _ in range(4)] == [200] * 4
        gone.rename(model)
        wait_until(lambda: server.log.count("ready after") == 3, "the process is replaced")


def test_a_frozen_process_is_replaced(artifact_folder, tmp_path):
    patch = "import classifier.serving.settings as s; s.SETTINGS['timeout'] = 1\n"
    patch += "import classifier.serving.processes as p; p.PAUSED_S = 3\n"
    with serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        os.kill(server.workers[0], signal.SIGSTOP)
        wait_until(lambda: len(server.workers) == 2, "a second worker")
        server.wait_for_ping(200)
        assert "WORKER TIMEOUT" in server.log


def test_sigterm_ends_all(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log", SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        wait_until(lambda: server.log.count("ready after") == 2, "2 processes have their model")
        assert statuses_after_sigterm(server, 100) == {b"HTTP/1.1 200 OK"}
