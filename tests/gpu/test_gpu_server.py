"""container/serve on the GPU, over HTTP."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch

from helpers import Server, serve
from serving_helpers import invoke
from waits import wait_until

from .given import ONE_GPU

NEEDED = "flask", "gunicorn", "openvino"
# If the file exists, the next batch breaks the process's CUDA context for ever, as an illegal address does.
BREAKABLE = """
import os
from classifier.serving.fixed_batch import FixedBatch
answer = FixedBatch.__call__
def break_first(self, pixels):
    if os.path.exists({file!r}):
        import torch
        os.unlink({file!r})
        torch.zeros(1, device="cuda")[torch.tensor([5], device="cuda")].cpu()
    return answer(self, pixels)
FixedBatch.__call__ = break_first
"""


@pytest.fixture
def broken(tmp_path) -> Path:
    return tmp_path / "broken"


@pytest.fixture
def server(random_model, tmp_path, broken) -> Iterator[Server]:
    for needed in NEEDED:
        pytest.importorskip(needed)
    patch = BREAKABLE.format(file=str(broken))
    one = {"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "CUDA_VISIBLE_DEVICES": ONE_GPU}
    with serve(random_model.parent, tmp_path / "log", patch, **one) as running:
        running.wait_for_ping(200)
        yield running


def test_after_an_error_that_stays_the_model_is_loaded_anew(server, broken):
    assert invoke(server).status == 200
    broken.touch()
    statuses = [invoke(server).status for _ in range(3)]  # only the first was broken on purpose
    assert statuses[0] == 500
    assert set(statuses) <= {500, 503}
    server.wait_for_ping(503)
    server.wait_for_ping(200)
    assert invoke(server).status == 200
    assert server.log.count("ready after") >= 2


def test_only_the_models_process_has_the_gpu(server):
    """CUDA does not survive a fork: the master and the fronts never load it."""
    with ThreadPoolExecutor(16) as pool:
        assert {answer.status for answer in pool.map(lambda _: invoke(server), range(64))} == {200}
    master = psutil.Process(server.process.pid)
    users = [one.pid for one in (master, *master.children()) if has_gpu(one)]
    assert len(users) == 1
    assert users[0] != master.pid
    psutil.Process(users[0]).kill()
    wait_until(lambda: server.log.count("ready after") == 2, "the next owner has the model")
    server.wait_for_ping(200)
    assert invoke(server).status == 200


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is only one GPU")
def test_every_gpu_has_an_owner(random_model, tmp_path):
    for needed in NEEDED:
        pytest.importorskip(needed)
    gpus = torch.cuda.device_count()
    with serve(random_model.parent, tmp_path / "log", SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        wait_until(lambda: server.log.count("ready after") == gpus, "all owners have the model")
        master = psutil.Process(server.process.pid)
        assert sum(has_gpu(one) for one in master.children()) == gpus


def has_gpu(process: psutil.Process) -> bool:
    """Return whether the process has a GPU's device open."""
    opened = []
    for file in Path(f"/proc/{process.pid}").glob("fd/*"):  # none if it has ended
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            opened.append(str(file.readlink()))
    return any(name.startswith("/dev/nvidia") for name in opened)
