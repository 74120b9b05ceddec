import os
import subprocess
import sys

import pytest
import torch

from classifier.training.hyperparameters import Hyperparameters
from classifier.training.optimization import learning_rate, loss_weight, make_optimizer
from datasets import TRAIN

UNCOMPILED = """
import sys, torch
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.optimization import make_optimizer
for name in ("adamw", "sgd"):
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(model, Hyperparameters(optimizer=name))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


def test_the_schedule_warms_up_then_falls_to_zero():
    rates = [learning_rate(0.1, step, 100) for step in range(100)]
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert max(rates) == pytest.approx(0.1)
    assert rates[52] == pytest.approx(0.05, rel=0.02)
    assert 0 <= rates[-1] < 1e-4


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_job_of_few_steps_has_a_rate_for_each(steps):
    assert all(0 < learning_rate(0.1, step, steps) <= 0.1 for step in range(steps))


def test_biases_and_normalisation_are_not_decayed():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    decayed, others = make_optimizer(model, Hyperparameters(weight_decay=0.05)).param_groups
    assert [p.ndim for p in decayed["params"]] == [4]
    assert decayed["weight_decay"] == 0.05
    assert [p.ndim for p in others["params"]] == [1, 1, 1]
    assert others["weight_decay"] == 0


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_optimiser_has_what_was_asked_for(name, kind):
    hp = Hyperparameters(optimizer=name, lr=0.07, optimizer_eps=1e-5)
    optimizer = make_optimizer(torch.nn.Linear(2, 2), hp)
    assert isinstance(optimizer, kind)
    assert optimizer.defaults["lr"] == 0.07
    assert optimizer.defaults.get("eps", 1e-5) == 1e-5


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_its_steps_are_those_of_torchs_own(name, kind):
    model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict(model.state_dict())
    optimizer = make_optimizer(model, Hyperparameters(optimizer=name, lr=0.1, weight_decay=0.1))
    momentum = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    groups = [{"params": [other.weight], "weight_decay": 0.1}, {"params": [other.bias], "weight_decay": 0.0}]
    own = kind(groups, lr=0.1, fused=True, **momentum)
    for _ in range(3):
        for trained, taking in ((model, optimizer), (other, own)):
            trained(torch.arange(6.0).view(2, 3)).square().sum().backward()
            taking.step()
            taking.zero_grad()
    assert all(map(torch.equal, model.parameters(), other.parameters()))
    assert repr(optimizer.state_dict()) == repr(own.state_dict())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("skipped", [0, 2])
def test_a_step_that_the_scaler_skips_leaves_no_trace(name, skipped):
    """Also the first one, for which fused SGD reserved memory that it left as it was."""
    model, other = torch.nn.Linear(1000, 500), torch.nn.Linear(1000, 500)
    other.load_state_dict(model.state_dict())
    for trained, overflows in ((model, skipped), (other, None)):
        optimizer = make_optimizer(trained, Hyperparameters(optimizer=name, lr=0.1, weight_decay=0.1))
        scaler = torch.GradScaler("cpu", 1024.0, backoff_factor=1 - 1e-9)
        fill_free_memory()
        for step in range(3 + (overflows is not None)):
            loss = trained(torch.ones(1, 1000)).square().mean()
            scaler.scale(loss * torch.inf if step == overflows else loss).backward()
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def fill_free_memory() -> None:
    """Leave numbers in memory that is reserved next."""
    del [torch.full((500, 1000), 1e30) for _ in range(8)][:]


def test_no_process_imports_a_compiler_that_it_never_uses():
    environment = os.environ | {"PYTHONPATH": str(TRAIN.parent)}
    command = [sys.executable, "-c", UNCOMPILED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_frozen_parameter_is_left_out():
    model = torch.nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert [len(group["params"]) for group in make_optimizer(model, Hyperparameters()).param_groups] == [0, 1]


def test_the_weight_of_labels_in_the_mean_loss():
    labels = torch.tensor([0, 1, 1])
    assert loss_weight(None, labels) == 3
    assert loss_weight(torch.tensor([0.5, 2.0]), labels) == 4.5
