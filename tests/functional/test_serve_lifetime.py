"""How container/serve ends: by a fault, by signals within the contract's deadlines, or a worker and not the server."""

import os
import re
import shutil
import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from helpers import serve
from serving_helpers import (
    STOP_SECONDS,
    THREADS,
    breakable,
    held,
    invoke,
    open_request,
    run_to_its_end,
    slowed,
    status_of,
    stop,
)
from waits import signals, wait_until

# What ends the start


def test_no_artifact(tmp_path):
    code, log, _ = run_to_its_end(tmp_path, tmp_path / "log")
    assert code == 1
    assert log == f"serve: no model artifact: {tmp_path}/model cannot be read: No such file or directory\n"


def test_too_little_memory_is_said_before_the_kernel_may_act(tmp_path):
    patch = "import classifier.headroom as h; h.free_memory = lambda *_: 60_000_000\n"
    code, log, _ = run_to_its_end(tmp_path, tmp_path / "log", patch)
    assert code == 1
    first, last = log.splitlines()
    assert first == (
        "serve: 60 MB of memory are free; serving a model of 224 px takes 350, and what lacks memory is killed"
    )
    assert last.startswith("serve: no model artifact")


NO_TEMPORARY_FOLDER = """
import tempfile
tempfile._candidate_tempdir_list = lambda: ["/none"]
"""


@pytest.mark.parametrize("many", ["false", "true"])
def test_no_temporary_folder(artifact_folder, tmp_path, many):
    code, log, _ = run_to_its_end(
        artifact_folder.parent, tmp_path / "log", NO_TEMPORARY_FOLDER, SAGEMAKER_MULTI_MODEL=many
    )
    assert (code, log.count("\n")) == (1, 1)
    assert log.startswith("serve: no folder for temporary files")


REFUSE_GPU = """
import os, classifier.device as d, classifier.errors as e, classifier.machine as m
def refuse(): raise e.UserError(f"process {os.getpid()}: driver too old")
d.choose_device = refuse
m.list_gpus = lambda *_: ["0"]
"""


def test_a_gpu_that_cannot_be_used_ends_the_server_after_the_fork(artifact_folder, tmp_path):
    code, log, server = run_to_its_end(artifact_folder.parent, tmp_path / "log", REFUSE_GPU)
    assert code not in (0, None)
    (process,) = re.findall(r"^serve: process (\d+): driver too old$", log, re.MULTILINE)
    assert int(process) in server.workers
    assert log.count("driver too old") == 1
    assert "Traceback" not in log


REFUSE_ALL = """
import classifier.errors as e, classifier.serving.server as s
def refuse(*_): raise e.UserError("refused")
s.load_predictor = refuse
"""


def test_several_processes_that_refuse_to_start_end_the_server_once(artifact_folder, tmp_path):
    """The others end while the master stops because of the first."""
    code, log, _ = run_to_its_end(
        artifact_folder.parent, tmp_path / "log", REFUSE_ALL, SAGEMAKER_MODEL_SERVER_WORKERS="6"
    )
    assert code not in (0, None)
    assert log.count("Reason: Worker failed to boot.") == 1
    assert "Traceback" not in log


KILLED_WHILE_LOADING = """
import classifier.images as i, os, pathlib
starts, warm_up = pathlib.Path({!r}), i.warm_up
def kill_or_go_on():
    starts.write_text(starts.read_text() + "x")
    return os.kill(os.getpid(), 9) if len(starts.read_text()) <= {} else warm_up()
i.warm_up = kill_or_go_on
"""


def test_a_worker_killed_while_loading_is_started_again(artifact_folder, tmp_path):
    (starts := tmp_path / "starts").touch()
    patch = KILLED_WHILE_LOADING.format(str(starts), 2)
    with serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        assert len(server.workers) == 3


def test_workers_killed_while_loading_end_the_server(artifact_folder, tmp_path):
    (starts := tmp_path / "starts").touch()
    memory = "import classifier.headroom as h; h.count_kills = lambda: 5 + len(starts.read_text())\n"
    patch = KILLED_WHILE_LOADING.format(str(starts), 99) + memory
    code, log, server = run_to_its_end(artifact_folder.parent, tmp_path / "log", patch)
    assert code not in (0, None)
    assert len(server.workers) == 3
    reason = "3 workers ended before their model was loaded; the kernel killed 3 processes, for memory was at its limit"
    assert reason in log
    assert "Traceback" not in log


# Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_finishes_what_was_accepted(artifact_folder, tmp_path, number):
    nested = tmp_path / "model" / "model"  # an archive packed one level too deep
    shutil.copytree(artifact_folder, nested)
    with serve(tmp_path, tmp_path / "log", slowed(0.05)) as server:
        server.wait_for_ping(200)
        assert f"the artifact is one folder too deep, in {nested}; using it" in server.log
        idle = socket.create_connection(("127.0.0.1", server.port))
        # More requests than threads, and all of them in the kernel's queue, since the worker is stopped.
        (worker,) = server.workers
        os.kill(worker, signal.SIGSTOP)
        connections = [open_request(server) for _ in range(70)]
        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(stop, server, number)
            wait_until(lambda: signal.SIGTERM in signals(worker, "ShdPnd"), "the master's signal to the worker")
            os.kill(worker, signal.SIGCONT)
            assert [status_of(connection) for connection in connections] == [b"HTTP/1.1 200 OK"] * 70
            assert stopped.result() < STOP_SECONDS
        idle.close()
        assert "Traceback" not in server.log


def test_signals_that_neither_end_the_server_nor_start_another(artifact_folder, tmp_path):
    """nohup ignores SIGHUP, and its program is to go on once the terminal has gone."""
    patch = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    with serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        os.killpg(server.process.pid, signal.SIGHUP)
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "Handling signal: usr2" in server.log, "the signal is handled")
        assert invoke(server).status == 200
        (worker,) = psutil.Process(server.process.pid).children()
        assert [worker.pid] == server.workers
        assert stop(server, signal.SIGTERM) < STOP_SECONDS


def test_a_stop_under_more_load_than_can_be_computed_answers_everybody(artifact_folder, tmp_path):
    """The requests in the queue are refused, and those that have a thread are still answered."""
    in_queue, hold = 100, tmp_path / "hold"
    patch = "import classifier.serving.worker as w; w.WORK_WHEN_STOPPING_S = 2\n" + held(hold)
    number = THREADS + in_queue
    with ThreadPoolExecutor(number + 1) as pool, serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        hold.touch()
        waiting = [pool.submit(invoke, server) for _ in range(number)]
        server.wait_for_connections(number)
        stopped = pool.submit(stop, server, signal.SIGTERM)
        wait_until(lambda: sum(answer.done() for answer in waiting) >= in_queue, f"{in_queue} answers")
        hold.unlink()
        assert stopped.result() < STOP_SECONDS
        assert Counter(answer.result().status for answer in waiting) == {200: THREADS, 503: in_queue}
        assert "Traceback" not in server.log


def test_a_stalled_client_does_not_hold_up_the_stop(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log") as server:
        server.wait_for_ping(200)
        with socket.create_connection(("127.0.0.1", server.port)) as stalled:
            stalled.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nabc")
            server.wait_for_connections(1)
            assert stop(server, signal.SIGTERM) < STOP_SECONDS


def test_a_signal_while_the_model_loads(artifact_folder, tmp_path):
    (hold := tmp_path / "hold").touch()
    with serve(artifact_folder.parent, tmp_path / "log", held(hold)) as server:
        server.wait_for_ping(503)
        assert stop(server, signal.SIGTERM) < STOP_SECONDS
        assert "Traceback" not in server.log


def test_a_signal_before_anything_is_ready(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log") as server:
        wait_until(lambda: signal.SIGTERM in signals(server.process.pid, "SigCgt"), "a handler for SIGTERM")
        assert stop(server, signal.SIGTERM) < STOP_SECONDS


def test_a_worker_whose_every_forward_fails_is_replaced(artifact_folder, tmp_path):
    broken = tmp_path / "broken"
    patch = breakable(broken)
    with serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        broken.touch()
        assert [invoke(server).status for _ in range(3)] == [500] * 3
        broken.unlink()
        wait_until(lambda: len(server.workers) == 2, "a second worker")
        server.wait_for_ping(200)
        assert invoke(server).status == 200
        assert "3 batches in turn have failed: this worker stops, and the next loads the model anew" in server.log
