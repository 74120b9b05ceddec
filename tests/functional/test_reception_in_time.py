"""Whatever arrives at container/serve, and however slowly: /ping and good requests are answered."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from classifier.serving.front import QUEUE
from classifier.serving.share import MOST_CONNECTIONS, choose_share
from classifier.serving.worker import CHECK_S
from helpers import Server, serve
from raw_http import (
    CHUNKED,
    JPEG,
    LENGTH,
    PING,
    PING_S,
    POST,
    connect,
    leave,
    post,
    raw,
    reset,
    send,
    small_server,
)
from waits import wait_until

CONNECTIONS, THREADS = MOST_CONNECTIONS, choose_share(1).threads
# The model waits as long as a file exists, and the worker takes the time to be later as long as another one does.
PATCH = """
import os, time
import classifier.serving.connection as c, classifier.serving.front as f, classifier.serving.server as s
from classifier.serving.worker import Worker
f.QUEUE_BYTES = 0  # which leaves room for two bodies
c.MOST_CHUNKS = 200
end, model_of = Worker.end_late, s.model_of
Worker.end_late = lambda self, now, patience: end(self, now + 80 * os.path.exists({later!r}), patience)
def held_model_of(*arguments):
    model = model_of(*arguments)
    def submit(pixels, deadline):
        while os.path.exists({held!r}):
            time.sleep(0.01)
        return model.submit(pixels, deadline)
    return model._replace(submit=submit)
s.model_of = held_model_of
"""


@pytest.fixture(scope="module")
def server(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with small_server(artifact_folder, tmp_path_factory.mktemp("log") / "log") as running:
        yield running
        assert len(running.workers) == 1


@dataclass
class Patched:
    """A server, and the files that make it wait or take the time to be later."""

    server: Server
    held: Path
    later: Path


@pytest.fixture(scope="module")
def patched(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patched]:
    folder = tmp_path_factory.mktemp("patched")
    held, later = folder / "held", folder / "later"
    patch = PATCH.format(held=str(held), later=str(later))
    with small_server(artifact_folder, folder / "log", patch) as running:
        yield Patched(running, held, later)


@contextmanager
def existing(file: Path) -> Iterator[None]:
    file.touch()
    try:
        yield
    finally:
        file.unlink()


def assert_prompt(server: Server) -> None:
    assert max(server.request("GET", "/ping").seconds for _ in range(5)) < PING_S


def test_a_chunk_is_one_in_however_many_pieces_it_comes(patched):
    body = JPEG + bytes((1 << 20) - len(JPEG))
    chunked = CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    pieces = (chunked[i : i + 4000] for i in range(0, len(chunked), 4000))
    assert raw(patched.server, *pieces).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("data", [CHUNKED + b"ffff\r\n\r\n0\r\n\r\n", CHUNKED, LENGTH, PING[:-2], PING[:3]])
def test_requests_that_never_end_hold_up_nobody(server, data):
    """However many they are: a thread for each would be one too many."""
    with ExitStack() as stack:
        send(server, THREADS + 16, data, stack)
        server.wait_for_connections(THREADS + 16)
        assert post(server).status == 200
        assert_prompt(server)


@pytest.mark.parametrize("data", [b"", PING[:5], POST + b"Content-Length: 9999\r\n\r\na"])
def test_more_connections_than_are_kept(server, data):
    """A connection that was answered before is kept, as that of a router, and the others make room for new ones."""
    with ExitStack() as stack:
        router = stack.enter_context(connect(server))
        router.sendall(PING)
        assert router.recv(4096).startswith(b"HTTP/1.1 200 OK")
        for _ in range(CONNECTIONS + 300):
            connection = stack.enter_context(connect(server))
            connection.setblocking(False)
            with suppress(OSError):
                connection.send(data)
        assert post(server).status == 200
        assert_prompt(server)
        router.sendall(PING)
        assert router.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_a_burst_of_more_connections_than_are_kept(server):
    """Each is read before it makes room for another, since its request may be there already."""
    with ExitStack() as stack:
        clients = send(server, CONNECTIONS + 300, PING, stack)
        assert {client.recv(4096)[:15] for client in clients} == {b"HTTP/1.1 200 OK"}


def test_a_burst_of_fewer_connections_than_are_kept(server):
    """The clients take their time to send their requests, and none is closed."""
    with ExitStack() as stack:
        clients = send(server, CONNECTIONS - 50, PING[:5], stack)
        for client in clients:
            client.sendall(PING[5:])
        assert {client.recv(4096)[:15] for client in clients} == {b"HTTP/1.1 200 OK"}


def test_a_client_that_only_ends_its_sending_is_answered(patched):
    with ThreadPoolExecutor(1) as pool:
        with existing(patched.held):
            answer = pool.submit(raw, patched.server, LENGTH + JPEG)
            time.sleep(3 * CHECK_S)
        assert answer.result().startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_has_ended_its_sending_does_not_wait(patched):
    """It is refused when it ends its sending, and when it did so before."""
    with ExitStack() as stack, existing(patched.held):
        send(patched.server, THREADS, LENGTH + JPEG, stack)
        patched.server.wait_for_connections(THREADS)
        early = raw(patched.server, PING + LENGTH + JPEG)
        (late,) = send(patched.server, 1, LENGTH + JPEG, stack)
        patched.server.wait_for_connections(THREADS + 1)
        late.shutdown(socket.SHUT_WR)
        answers = [early.partition(b"\r\n\r\n")[2], late.recv(4096)]
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After" in answer
        assert answer.endswith(b'had ended its sending, as one that has left"}\n')


def test_a_burst_where_few_files_may_be_open(artifact_folder, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"
    with serve(artifact_folder.parent, tmp_path / "log", limit) as server, ExitStack() as stack:
        server.wait_for_ping(200)
        send(server, 200, b"", stack)
        assert_prompt(server)
        clients = send(server, 400, LENGTH + JPEG, stack)
        assert {client.recv(4096)[:12] for client in clients} <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert_prompt(server)
        assert "Traceback" not in server.log


def test_connections_that_break_off_after_their_request(server):
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: reset(server, LENGTH + JPEG), range(1500)):
            pass
    assert_prompt(server)
    assert post(server).status == 200


def test_the_bytes_of_the_queue_are_bounded(patched):
    """Run before the next test, whose requests are in the queue for a moment longer than it lasts."""
    body = JPEG + bytes((1 << 20) - len(JPEG))
    with ThreadPoolExecutor(3) as pool, existing(patched.held):
        waiting = [pool.submit(patched.server.request, "POST", "/invocations", body) for _ in range(3)]
        wait_until(lambda: any(answer.done() for answer in waiting), "a refusal")
    answers = sorted((answer.result() for answer in waiting), key=lambda answer: answer.status)
    assert [answer.status for answer in answers] == [200, 200, 503]
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert post(patched.server).status == 200


@pytest.mark.parametrize("end", [reset, leave])
@pytest.mark.parametrize("data", [LENGTH + JPEG, 2 * (LENGTH + JPEG), LENGTH + JPEG + b"\r\n"])
def test_clients_that_have_left_occupy_no_place_in_the_queue(patched, end, data):
    """Of them, those are computed that had a thread."""
    with ThreadPoolExecutor(4) as pool:
        with existing(patched.held):
            computed = patched.server.log.count('"status": 200')
            for _ in pool.map(lambda _: end(patched.server, data), range(THREADS + QUEUE + 50)):
                pass
            patched.server.wait_for_few_connections(THREADS)
            assert_prompt(patched.server)
            answer = pool.submit(post, patched.server)
            patched.server.wait_for_connections(1)
            assert_prompt(patched.server)
            assert not answer.done()
        assert answer.result().status == 200
        patched.server.wait_for_few_connections(0)
    assert patched.server.log.count('"status": 200') - computed <= 2 * THREADS + 1


def test_chunks_that_cost_time_hold_up_nobody(server):
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(60)]
        for connection in connections:
            connection.setblocking(False)
            connection.send(CHUNKED + b"1\r\nx\r\n" * 40_000)
        assert_prompt(server)
        assert post(server).seconds < PING_S


def test_a_client_that_does_not_read_its_answers_is_left(patched):
    with connect(patched.server) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            while True:
                connection.sendall(PING.replace(b"/ping", b"/") * 100)
        assert_prompt(patched.server)
        with existing(patched.later), pytest.raises(ConnectionError):
            while True:
                with suppress(TimeoutError):
                    connection.sendall(PING)


def test_idle_connections_are_closed_in_the_end(patched):
    with connect(patched.server) as new, connect(patched.server) as kept:
        kept.sendall(PING)
        assert kept.recv(4096).startswith(b"HTTP/1.1 200 OK")
        with existing(patched.later):
            assert (new.recv(1), kept.recv(1)) == (b"", b"")
