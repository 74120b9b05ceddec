import json
import os
import signal
import socket

import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.parallel import launcher
from classifier.training.parallel.launcher import Plan, launch, make_plan, wait_for_names


def contract(root, environ=None, **resources):
    config = root / "input/config/resourceconfig.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps(resources))
    return Contract(root, environ or {})


def test_without_a_configuration_one_process_is_alone(tmp_path):
    plan = make_plan(Contract(tmp_path, {}))
    assert plan == Plan(("localhost",), 0, 1, None)
    assert plan.is_alone


def test_each_gpu_of_each_host_gets_a_process(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    hosts = {"hosts": ["algo-2", "algo-10", "algo-1"], "current_host": "algo-2", "network_interface_name": "eth0"}
    plan = make_plan(contract(tmp_path, **hosts))
    assert plan == Plan(("algo-1", "algo-10", "algo-2"), 2, 4, "eth0")
    assert not plan.is_alone
    assert plan.arguments() == [
        "--nnodes=3",
        "--node-rank=2",
        "--master-addr=algo-1",
        "--master-port=29500",
        "--nproc-per-node=4",
    ]


def test_several_processes_on_one_host_need_no_name_of_it(tmp_path):
    plan = make_plan(Contract(tmp_path, {"PROCESSES_PER_HOST": "2"}))
    assert plan.arguments() == ["--standalone", "--nproc-per-node=2"]
    assert plan.variables()["GLOO_SOCKET_IFNAME"] == "lo"


def test_more_processes_than_gpus_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="PROCESSES_PER_HOST is 2, on a host with 1 GPU; accepted: up to 1"):
        make_plan(Contract(tmp_path, {"PROCESSES_PER_HOST": "2"}))


def test_what_ended_a_process_that_reports_nothing_is_a_sentence(tmp_path, monkeypatch):
    """SIGABRT is how NCCL's watchdog ends one."""
    failure = ProcessFailure(local_rank=1, pid=7, exitcode=-signal.SIGABRT, error_file="")

    def run(_arguments):
        raise ChildFailedError("train", {1: failure})

    monkeypatch.setattr("torch.distributed.run.main", run)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(
        UserError, match="process 1 of the job was ended by signal SIGABRT; .* NCCL lost another process"
    ):
        launch(Plan(("localhost",), 0, 2, None), Contract(tmp_path, {}))


def test_the_cores_are_shared(monkeypatch):
    monkeypatch.setattr(launcher, "usable_cores", lambda: 8)
    assert Plan(("a",), 0, 4, None).variables()["OMP_NUM_THREADS"] == "2"
    assert Plan(("a",), 0, 16, None).variables()["OMP_NUM_THREADS"] == "1"


def test_an_interface_that_is_not_there_is_not_asked_for():
    assert Plan(("a", "b"), 0, 1, "eth99").variables().keys() == {"OMP_NUM_THREADS"}


def test_a_name_is_waited_for(monkeypatch):
    answers = [OSError("not yet"), OSError("not yet"), []]

    def getaddrinfo(*_):
        if isinstance(answer := answers.pop(0), OSError):
            raise answer
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(launcher.time, "sleep", lambda _: None)
    wait_for_names(["algo-1"])
    assert answers == []


def test_a_name_that_never_comes():
    with pytest.raises(UserError, match=r"no address for the host 'no\.invalid' in 0 s: "):
        wait_for_names(["localhost", "no.invalid"], seconds=0)
