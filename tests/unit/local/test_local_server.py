"""Only the server that deploy.py --local started is ended."""

import gc
import os
import socket
import subprocess
import sys
import time
import warnings

import psutil
import pytest

from classifier.errors import UserError
from local import places, server

ANSWERS = """
import http.server, os
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.test(http.server.SimpleHTTPRequestHandler, port=port)
"""


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs, and of a program that stands in for container/serve and waits."""
    runs = tmp_path / "runs"
    runs.mkdir()
    for name, path in {"RUNS": runs, "LATEST": runs / "latest.json", "CONTAINER": tmp_path}.items():
        monkeypatch.setattr(places, name, path)
    (tmp_path / "serve").write_text("import time; time.sleep(1000)")
    return runs


def note(process, **changes):
    started = str(round(psutil.Process(process.pid).create_time()))
    places.note(
        **{"local_pid": str(process.pid), "local_started": started, "local_url": "http://127.0.0.1:1"} | changes
    )


def test_the_server_is_described_and_stopped(runs):
    with subprocess.Popen([sys.executable, runs.parent / "serve", "--root", runs / "a"]) as process:
        note(process)
        assert server.described() == f"a server at http://127.0.0.1:1, process {process.pid}"
        assert server.stop()
    assert not server.described()
    assert not server.stop()


def test_the_url_of_a_server_that_has_ended_is_refused(runs):
    """Another program may have its port by now, which would answer in its place."""
    with pytest.raises(UserError, match=r"nothing is deployed here: run launch/deploy\.py --local$"):
        server.url()
    with subprocess.Popen([sys.executable, runs.parent / "serve", "--root", runs / "a"]) as process:
        note(process)
        assert server.url() == "http://127.0.0.1:1"
        process.kill()
    with pytest.raises(
        UserError, match=r"the server at http://127\.0\.0\.1:1 has ended: run launch/deploy\.py --local"
    ):
        server.url()


def test_a_server_that_ends_before_it_answers(runs):
    (runs.parent / "serve").write_text("")
    (runs / "a").mkdir()
    with pytest.raises(UserError, match="^the server ended before it answered; .*serve.log says why$"):
        server.start(runs / "a", image="")


def test_a_server_that_does_not_answer_in_time(runs, monkeypatch):
    monkeypatch.setattr(server, "START_SECONDS", 0.3)
    (runs / "a").mkdir()
    with pytest.raises(UserError, match="^the server did not answer within 0.3 s; .*serve.log says why$"):
        server.start(runs / "a", image="")


def test_a_server_whose_start_is_interrupted_is_stopped(runs, monkeypatch):
    started: list[int] = []

    def interrupt(*_, timeout) -> None:
        started.append(server.running().pid)
        raise KeyboardInterrupt

    monkeypatch.setattr("urllib.request.urlopen", interrupt)
    (runs / "a").mkdir()
    with pytest.raises(KeyboardInterrupt):
        server.start(runs / "a", image="")
    assert not psutil.pid_exists(started[0])
    assert not server.described()


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (psutil.AccessDenied(1), "is another user's; accepted: that user, or root"),
        (psutil.TimeoutExpired(30), "does not end within 30 s; kill -9 [0-9]+ ends it"),
    ],
)
def test_a_server_that_cannot_be_stopped_is_one_sentence_and_is_not_forgotten(runs, monkeypatch, raised, why):
    def refuse(*_):
        raise raised

    with subprocess.Popen([sys.executable, runs.parent / "serve", "--root", runs / "a"]) as process:
        note(process)
        with monkeypatch.context() as patch:
            patch.setattr(psutil.Process, "wait", refuse)
            patch.setattr(psutil.Process, "terminate", refuse)
            with pytest.raises(UserError, match=f"process {process.pid}, {why}$"):
                server.stop()
        assert server.stop()


def test_a_server_that_answers_outlives_this_process_without_a_word(runs, monkeypatch):
    """Popen warns of a process that still runs, where warnings are shown."""
    (runs.parent / "serve").write_text(ANSWERS)
    (runs / "job").mkdir()
    (runs.parent / "ping").write_text("")
    monkeypatch.chdir(runs.parent)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        server.start(runs / "job", image="")
        gc.collect()
    assert server.stop()
    assert not told


@pytest.mark.parametrize("changes", [{}, {"local_started": str(round(time.time()) - 4000)}, {"local_started": ""}])
def test_another_process_with_its_id_is_left_alone(runs, changes):
    """Such as `tail -f` on a file of runs/, or with another start time a program of the same name."""
    path = runs.parent / "serve" if changes else runs / "latest.json"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", path]) as process:
        note(process, **changes)
        assert not server.described()
        assert not server.stop()
        assert process.poll() is None
        process.kill()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("docker run --rm --mount type=bind,source={runs}/a,target=/opt/ml image serve", True),
        ("docker run --rm --mount type=bind,source={runs}/a,target=/opt/ml image train", False),
        ("tail -f {runs}/a/serve.log", False),
        ("", False),
    ],
)
def test_a_server_in_a_container_is_known_by_its_folder(runs, command, expected):
    assert server.serves(command.format(runs=runs).split()) is expected


def test_the_usual_port_is_taken_if_it_is_free(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        monkeypatch.setattr(server, "PORT", port)
        other.listen()
        assert server.free_port() not in (port, 0)
        assert server.listens(os.getpid(), port)
    assert server.free_port() == port
    assert not server.listens(os.getpid(), port)
