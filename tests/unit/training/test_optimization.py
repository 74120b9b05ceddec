import pytest
import torch

from classifier.training.hyperparameters import Hyperparameters
from classifier.training.optimization import learning_rate, loss_weight, make_optimizer


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
    assert type(optimizer) is kind
    assert optimizer.defaults["lr"] == 0.07
    assert optimizer.defaults.get("eps", 1e-5) == 1e-5


def test_a_frozen_parameter_is_left_out():
    model = torch.nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert [len(group["params"]) for group in make_optimizer(model, Hyperparameters()).param_groups] == [0, 1]


def test_the_weight_of_labels_in_the_mean_loss():
    labels = torch.tensor([0, 1, 1])
    assert loss_weight(None, labels) == 3
    assert loss_weight(torch.tensor([0.5, 2.0]), labels) == 4.5
