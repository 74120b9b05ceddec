"""The hook under torch.distributed: two real processes, one of which debugs."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.training.debugging import smdebug_compat
from waits import PATIENCE_S

TESTS = Path(__file__).parents[1]
CONTAINER = TESTS.parent / "container"
PROGRAM = """
import contextlib, json, sys
from pathlib import Path
from types import SimpleNamespace
import torch
from classifier.contract import Contract
from classifier.training.debugging import config, factory
from classifier.training.hyperparameters import Hyperparameters
from hooked import make_training

torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
root = Path(sys.argv[1])
model, loss, optimizer = make_training()
config.STEPS_FOR_ALL = 1  # all of every step
made = factory.make_debugger(
    Contract(root, {}),
    Hyperparameters(),
    model,
    loss,
    optimizer,
    steps={"train": 4, "eval": 1},
    guessing_loss=0.69,
    timed=lambda _part: contextlib.nullcontext(),
    group=SimpleNamespace(is_first=rank == 0),
)
wrapped = torch.nn.parallel.DistributedDataParallel(model)
made.set_phase("train")
norms = []
for step in range(4):
    torch.manual_seed(10 * step + rank)
    loss(wrapped(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 1, 0])).backward()
    norms.append(model.fc.weight.grad.norm().item())
    optimizer.step()
    optimizer.zero_grad()
result = made.finish()
(root / f"{rank}.json").write_text(json.dumps({"why": result.why, "norms": norms, "weight": model.fc.weight.tolist()}))
torch.distributed.destroy_process_group()
"""


def test_the_first_process_debugs_for_all_and_sees_the_gradients_of_all(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (CONTAINER, TESTS))),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    processes = [subprocess.Popen(command, env=environ | {"RANK": str(rank)}) for rank in range(2)]
    try:
        assert [process.wait(PATIENCE_S) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert (first["why"], second["why"]) == (None, "the first process debugs for all")
    assert first["weight"] == second["weight"]
    smdebug_compat.load()
    from smdebug.trials import create_trial

    trial = create_trial(str(tmp_path / "output/data/tensors"))
    assert trial.workers() == ["worker_0"]
    gradient = trial.tensor("gradient/Net_fc.weight")
    saved = [float(gradient.reduction_value(step, "l2")) for step in range(4)]
    assert saved == pytest.approx(first["norms"], rel=1e-5)
