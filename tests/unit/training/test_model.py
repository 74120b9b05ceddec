import math
from collections import OrderedDict

import pytest
import safetensors.torch
import torch

from classifier import network
from classifier.layers import PARTS
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.model import frozen_parts, make_model, set_training_mode
from starting_points import FIVE, build, starting_point, write_artifact


@pytest.fixture
def artifact_channel(tmp_path):
    return write_artifact(tmp_path / "model")


def test_weights_none_is_a_random_start():
    assert starting_point(Hyperparameters(weights="none"), {}) is None


def test_the_seed_decides_a_random_start():
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(make_model(FIVE, Hyperparameters(), None).conv1.weight)
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_eps_reaches_every_batch_normalisation_layer():
    layers = [m for m in make_model(FIVE, Hyperparameters(eps=3e-9), None).modules() if "BatchNorm" in type(m).__name__]
    assert len(layers) == 20
    assert {layer.eps for layer in layers} == {3e-9}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_pretrained_channel_gives_all_but_the_head(tmp_path, suffix):
    source = build(1, classes=1000)
    weights = {name: t for name, t in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(weights, tmp_path / f"resnet18{suffix}")
    start = starting_point(Hyperparameters(), {"pretrained": tmp_path})
    made = make_model(FIVE, Hyperparameters(), start)
    assert torch.equal(made.layer4[1].bn2.running_var, source.layer4[1].bn2.running_var)
    assert torch.equal(made.conv1.weight, source.conv1.weight)
    assert made.fc.weight.shape == (5, 512)
    assert start.origin == f"channel pretrained (resnet18{suffix})"


def test_an_earlier_artifact_continues_with_its_head_for_the_classes_that_both_have(artifact_channel, caplog):
    caplog.set_level("INFO")
    start, old = starting_point(Hyperparameters(), {"model": artifact_channel}), build(1).fc
    for classes, known in (
        (FIVE, "its head too"),
        (FIVE[::-1], "its head too"),
        (("new", *FIVE[1:4]), "for 3 of 4 classes"),
    ):
        made = make_model(classes, Hyperparameters(), start).fc
        rows = [row for row, name in enumerate(classes) if name in FIVE]
        olds = [FIVE.index(classes[row]) for row in rows]
        assert torch.equal(made.weight[rows], old.weight[olds])
        assert torch.equal(made.bias[rows], old.bias[olds])
        assert caplog.messages[-1].endswith(known)


def test_other_classes_get_a_head_that_no_earlier_job_can_have_had(tmp_path, caplog):
    """Not with the same seed either: features that were learnt for its classes would speak for others instead."""
    caplog.set_level("INFO")
    others, hp = tuple("vwxyz"), Hyperparameters()
    torch.manual_seed(hp.seed)
    first = make_model(others, hp, None)
    torch.save(first.state_dict(), tmp_path / "w.pth")
    start = starting_point(hp, {"pretrained": tmp_path})
    torch.manual_seed(hp.seed)
    made = make_model(others, hp, start)
    assert torch.equal(made.conv1.weight, first.conv1.weight)
    assert (made.fc.weight - first.fc.weight).abs().mean() > first.fc.weight.abs().mean()
    assert made.fc.weight.std().item() == pytest.approx(first.fc.weight.std().item(), rel=0.1)
    assert caplog.messages[-1].endswith("; a new head")
    assert torch.equal(make_model(others, hp, start).fc.weight, made.fc.weight)  # as every process of a job makes it
    assert not torch.equal(make_model(others, Hyperparameters(seed=1), start).fc.weight, made.fc.weight)


@pytest.mark.parametrize("head", ["fc.0.weight", "fc.bias", "fc.1.running_var"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_head_and_other_floating_point_types_are_taken(tmp_path, head, dtype):
    weights = {name: tensor.to(dtype) for name, tensor in build(1).state_dict().items()}
    torch.save(OrderedDict(weights | {head: torch.full((9,), math.nan)}), tmp_path / "w.pth")
    start = starting_point(Hyperparameters(), {"pretrained": tmp_path})
    made = make_model(FIVE, Hyperparameters(), start)
    assert torch.equal(made.layer4[0].conv1.weight, build(1).layer4[0].conv1.weight.to(dtype).float())


@pytest.mark.parametrize(
    ("trainable", "learning"),
    [("all", PARTS), ("layer1", PARTS[2:]), ("layer3", PARTS[4:]), ("layer4", PARTS[5:]), ("head", ("fc",))],
)
def test_trainable_names_what_learns(trainable, learning):
    made = make_model(FIVE, Hyperparameters(trainable=trainable), None)
    assert {name.split(".")[0] for name, p in made.named_parameters() if p.requires_grad} == set(learning)


def test_frozen_parts_keep_their_statistics():
    made = make_model(FIVE, Hyperparameters(trainable="layer4"), None)
    before = {name: buffer.clone() for name, buffer in made.named_buffers()}
    set_training_mode(made, "layer4")
    made(torch.randn(4, 3, 32, 32))
    changed = {name.split(".")[0] for name, b in made.named_buffers() if not torch.equal(b, before[name])}
    assert changed == {"layer4"}
    assert len(frozen_parts(made, "layer4")) == 5


def test_every_part_of_the_network_is_listed():
    children = [name for name, child in network.build(2, 1e-5).named_children() if list(child.parameters())]
    assert tuple(children) == PARTS
