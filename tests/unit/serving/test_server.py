import dataclasses
import errno
import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from gunicorn.errors import HaltServer

from classifier import artifact, machine
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.serving import pools, processes, server
from classifier.serving.model import Model
from classifier.serving.processes import STARTS, Master
from classifier.serving.share import Share

GPUS = ["GPU-0a", "MIG-1b", "GPU-2c"]


@contextmanager
def server_of(folder: Path, share: Share) -> Iterator[server.Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        description = artifact.read(folder)
        yield server.Server(Contract(folder.parent, {}), folder, description, listener.fileno(), share)


@pytest.fixture(autouse=True)
def no_end(monkeypatch) -> None:
    """Raise SystemExit with the sentence where a worker would end."""

    def end(sentence: str) -> None:
        raise SystemExit(sentence)

    monkeypatch.setattr(server, "exit_worker", end)


@pytest.fixture
def application(artifact_folder) -> Iterator[server.Server]:
    """The gunicorn application, in one of two workers."""
    with server_of(artifact_folder, Share(1, 2)) as running:
        running.seat = running.fronts.take()
        yield running


@pytest.fixture
def of_three_gpus(artifact_folder, monkeypatch) -> Iterator[server.Server]:
    """The gunicorn application of a machine with GPUS, in the master."""
    monkeypatch.setattr(machine, "list_gpus", lambda *_: GPUS)
    with server_of(artifact_folder, Share(1, 1, len(GPUS))) as running:
        yield running
    for slots in running.slots:
        for link in chain(*slots.links):
            link._end.close()


def test_what_is_wrong_is_said_before_gunicorn_starts(artifact_folder, tmp_path):
    model = Path(shutil.copytree(artifact_folder, tmp_path / "model"))
    with pytest.raises(UserError, match="SAGEMAKER_BIND_TO_PORT is 'x'"):
        server.run(Contract(tmp_path, {"SAGEMAKER_BIND_TO_PORT": "x"}))
    with pytest.raises(UserError, match="SAGEMAKER_MAX_PAYLOAD_IN_MB is '-1'"):
        server.run(Contract(tmp_path, {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "-1"}))
    with pytest.raises(UserError, match="SERVE_PRECISION is 'int4'; accepted: auto, fp32, bf16, fp16, int8"):
        server.run(Contract(tmp_path, {"SERVE_PRECISION": "int4"}))
    with pytest.raises(UserError, match="SERVE_ACCESS_LOG is 'no'; accepted: on, off"):
        server.run(Contract(tmp_path, {"SERVE_ACCESS_LOG": "no"}))
    os.truncate(model / "model.safetensors", 1000)
    with pytest.raises(UserError, match="model.safetensors is damaged or truncated"):
        server.run(Contract(tmp_path, {}))


def test_a_variable_that_the_server_makes_no_use_of_is_checked_too(artifact_folder):
    with pytest.raises(UserError, match="SERVE_MODELS_MB is '-4'; accepted: a whole number from 0 to 100000000"):
        server.run(Contract(artifact_folder.parent, {"SERVE_MODELS_MB": "-4"}))


def test_a_port_that_is_taken(artifact_folder):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = f"port {port}: Address already in use; SAGEMAKER_BIND_TO_PORT chooses another"
        with pytest.raises(UserError, match=sentence):
            server.run(Contract(artifact_folder.parent, {"SAGEMAKER_BIND_TO_PORT": port}))


def test_the_log_says_once_at_the_start_which_classes_were_renamed(artifact_folder, tmp_path, caplog):
    path = Path(shutil.copytree(artifact_folder, tmp_path / "model")) / "model.json"
    path.write_text(path.read_text().replace("mops", "pug"))
    with socket.create_server(("0.0.0.0", 0)) as taken, pytest.raises(UserError, match="port"):
        server.run(Contract(tmp_path, {"SAGEMAKER_BIND_TO_PORT": str(taken.getsockname()[1])}))
    assert caplog.text.count("'pug' is 'mops' there") == 1


def test_a_master_that_may_start_no_thread_ends_with_one_sentence(artifact_folder, monkeypatch):
    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    def end(sentence: str) -> None:
        raise SystemExit(sentence)

    monkeypatch.setattr(Thread, "start", refuse)
    monkeypatch.setattr(pools, "exit_worker", end)
    with pytest.raises(SystemExit, match="too few threads can be started"):
        server.run(Contract(artifact_folder.parent, {}))


def test_the_settings_keep_the_contract(application):
    cfg = application.cfg
    assert cfg.workers == 2
    assert cfg.workers * cfg.worker_connections <= 900
    assert 10 <= cfg.timeout <= 20  # of a hanging event loop: requests have threads
    assert cfg.graceful_timeout <= 27  # SIGKILL comes 30 s after SIGTERM
    assert cfg.max_requests == 0  # no worker is ever replaced in passing
    assert cfg.control_socket_disable
    assert cfg.worker_tmp_dir is None  # the temporary folder


@pytest.mark.parametrize(
    ("number", "file", "reason"),
    [
        (errno.EAGAIN, None, "Resource temporarily unavailable; docker's --pids-limit is one limit"),
        (errno.ENOSPC, "/tmp/x", "/tmp/x: No space left on device"),
    ],
)
def test_processes_that_cannot_be_started_are_said_and_tried_again(
    application, monkeypatch, caplog, number, file, reason
):
    def refuse() -> None:
        raise OSError(number, os.strerror(number), file)

    application.seat.leave()
    master = Master(application)
    master.pid, master.worker_class = os.getpid(), lambda *_: SimpleNamespace()
    monkeypatch.setattr(os, "fork", refuse)
    assert [master.spawn_worker() for _ in range(STARTS - 1)] == [0] * (STARTS - 1)
    assert application.fronts.is_empty
    with pytest.raises(HaltServer, match="workers ended before"):
        master.spawn_worker()
    assert caplog.text.count(f"no process can be started: {reason}\n") == STARTS


def test_failed_starts_have_pauses_as_long_as_others_answer_and_stop_the_server_else(application, monkeypatch, caplog):
    now = 1000.0
    monkeypatch.setattr(processes.time, "monotonic", lambda: now)
    application.seat.be_ready()
    pauses = []
    for _ in range(8):
        application.vacate(application.fronts.take())
        application.plan_next_start(HaltServer("it cannot start"))
        pauses.append(application.next_start - now)
        assert not application.may_start
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert "others answer, and it is started again in 60 s" in caplog.text
    application.vacate(application.seat)
    assert application.may_start
    application.plan_next_start()
    with pytest.raises(HaltServer, match="it cannot start"):
        application.vacate(application.fronts.take())
        application.plan_next_start(HaltServer("it cannot start"))


def test_one_of_several_gpus_that_cannot_be_used_does_not_stop_those_that_still_load(of_three_gpus, caplog):
    for seat in (of_three_gpus.take_seat(), of_three_gpus.take_seat(), of_three_gpus.take_seat()):
        assert seat in of_three_gpus.owners
    first, second, third = of_three_gpus.owners
    of_three_gpus.fronts.take().be_ready()
    for pause in (2, 4, 8):  # also if it fails often before the others have their model
        of_three_gpus.vacate(first)
        of_three_gpus.plan_next_start(HaltServer("it cannot start"))
        assert not of_three_gpus.may_start
        assert f"another is still loading it, and it is started again in {pause} s" in caplog.text
        assert of_three_gpus.take_seat() is first
    of_three_gpus.vacate(second)
    of_three_gpus.plan_next_start(HaltServer("it cannot start"))
    of_three_gpus.vacate(third)
    with pytest.raises(HaltServer, match="it cannot start"):
        of_three_gpus.plan_next_start(HaltServer("it cannot start"))


def test_each_of_several_gpus_has_its_process_whatever_becomes_of_the_others(of_three_gpus, monkeypatch):
    monkeypatch.setattr(machine, "list_gpus", lambda *_: ["GPU-0a"])  # two are gone
    for seat, name in zip(of_three_gpus.owners, GPUS, strict=True):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(GPUS))
        of_three_gpus.seat = seat
        assert of_three_gpus._choose_gpu() == f"GPU {name}: "
        assert os.environ["CUDA_VISIBLE_DEVICES"] == name


def test_the_log_says_which_gpu_cannot_be_used(of_three_gpus, monkeypatch):
    def refuse(*_: object) -> None:
        raise UserError("it is broken")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(server, "load_predictor", refuse)
    of_three_gpus.seat = of_three_gpus.owners[1]
    with pytest.raises(SystemExit, match="^serve: GPU MIG-1b: it is broken$"):
        of_three_gpus._load_model(Future())


def test_processes_are_not_replaced_because_the_whole_container_was_paused(application, monkeypatch):
    times, looks = [1000, 1005, 1006, 1090, 1091, 1095, 1096], []
    monkeypatch.setattr(processes.time, "monotonic", lambda: times[0])
    monkeypatch.setattr(processes.Arbiter, "murder_workers", lambda _: looks.append(times[0]))
    master = Master(application)
    while len(times) > 1:
        del times[0]
        master.murder_workers()
    assert looks == [1006, 1096]


def test_the_model_is_handed_over_once_it_has_answered(application, caplog):
    result: Future = Future()
    with caplog.at_level("INFO"):
        application._load_model(result)
    assert isinstance(result.result(timeout=0), Model)
    assert application.seat.is_ready
    assert "device cpu, precision " in caplog.text


def test_a_users_fault_while_loading_is_one_sentence(application, monkeypatch, caplog):
    def refuse(*_: object) -> None:
        raise UserError("the weights are odd")

    monkeypatch.setattr(server, "load_predictor", refuse)
    result: Future = Future()
    with pytest.raises(SystemExit, match="^serve: the weights are odd$"):
        application._load_model(result)
    assert not result.done()
    assert not application.seat.is_ready
    assert "Traceback" not in caplog.text


def test_too_little_memory_while_loading_is_one_sentence(application, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(server, "load_predictor", fail)
    with pytest.raises(SystemExit, match=f"^serve: there is too little memory for the model in {application.folder}; "):
        application._load_model(Future())
    assert "Traceback" not in caplog.text


def test_our_own_fault_once_it_is_loaded_ends_the_worker_too(application, monkeypatch):
    """Else /ping would say for ever that the model is loading."""
    monkeypatch.setattr(server, "model_of", lambda *_: 1 / 0)
    with pytest.raises(SystemExit, match="could not be loaded: ZeroDivisionError"):
        application._load_model(Future())


def test_our_own_fault_while_loading_is_a_sentence_and_a_traceback(application, monkeypatch, caplog):
    monkeypatch.setattr(server, "load_predictor", lambda *_: 1 / 0)
    with pytest.raises(SystemExit, match="could not be loaded: ZeroDivisionError: division by zero"):
        application._load_model(Future())
    assert "Traceback" in caplog.text


def test_the_log_names_whatever_is_in_the_folder_in_one_line(artifact_folder, tmp_path, caplog):
    """What is not of the artifact stops nothing, and no name can look like another line."""
    folder = Path(shutil.copytree(artifact_folder, tmp_path / "model"))
    (folder / "dangling").symlink_to("nowhere")
    (folder / "code").mkdir()
    (folder / "a\nready").touch()
    description = dataclasses.replace(artifact.read(folder), classes=("cat\nready", "dog"))
    with caplog.at_level("INFO"):
        server._log_start(Contract(tmp_path, {}), folder, description, Share(1, 2))
    assert "dangling (No such file or directory)" in caplog.text
    assert "code (a folder)" in caplog.text
    assert not any(line.startswith("ready") for line in caplog.text.splitlines())
    assert {r"a\nready (0 bytes)" in caplog.text, r"cat\nready, dog" in caplog.text} == {True}
