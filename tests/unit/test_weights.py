import hashlib
import math
import re

import pytest
import safetensors.torch
import torch

from classifier.artifact import Artifact
from classifier.training.artifact_files import save_artifact
from classifier.training.hyperparameters import Hyperparameters
from classifier.weights import read_backbone
from starting_points import FIVE, build, pretrained, refusal, write_artifact


@pytest.fixture
def artifact_channel(tmp_path):
    return write_artifact(tmp_path / "model")


@pytest.mark.parametrize(("value", "kind"), [([1, 2], "list"), (torch.ones(2), "Tensor"), (3, "int")])
def test_a_file_without_a_state_dict(tmp_path, value, kind):
    assert f"(w.pth) is not a state dict but a {kind}; accepted: the weights" in pretrained(tmp_path, value)


def other_resnet(extra):
    """The names of a network with more blocks: ResNet34's, or more layers in each: ResNet50's."""
    return build(1).state_dict() | {extra: torch.zeros(3)}


def renamed(prefix):
    return {f"{prefix}{name}": tensor for name, tensor in build(1).state_dict().items()}


def without(name):
    return {key: value for key, value in build(1).state_dict().items() if key != name}


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (lambda: without("layer4.0.conv1.weight"), "lacks 'layer4.0.conv1.weight'; accepted: the weights of resnet18"),
        (lambda: {}, "lacks 'conv1.weight'"),
        (lambda: other_resnet("layer1.2.conv1.weight"), "has 'layer1.2.conv1.weight', which is not a part of resnet18"),
        (lambda: other_resnet("layer1.0.conv3.weight"), "has 'layer1.0.conv3.weight', which is not a part"),
        (lambda: other_resnet("layer3.0.se.num_batches_tracked"), "has 'layer3.0.se.num_batches_tracked', which"),
        (lambda: other_resnet("fcx.weight"), "has 'fcx.weight', which is not a part of resnet18"),
        (lambda: other_resnet("conv1.bias"), "has 'conv1.bias', which is not a part of resnet18"),
        (lambda: build(1).state_dict() | {"epoch": 3}, "has 'epoch', which is not a part of resnet18"),
        (lambda: build(1).state_dict() | {3: torch.ones(1)}, "has 3, which is not a part of resnet18"),
        (lambda: other_resnet("a\n\x1b[31mb"), "has 'a\\n\\x1b[31mb', which is not a part of resnet18"),
        (lambda: {"state_dict": build(1).state_dict(), "epoch": 3}, "has its weights under 'state_dict'"),
        (lambda: {"epoch": 3, "model": renamed("module.")}, "has its weights under 'model'; accepted: the weights "),
        (lambda: renamed("module."), "has names that begin with 'module.'; accepted: "),
        (lambda: renamed("backbone.0."), "has names that begin with 'backbone.0.'"),
        (lambda: renamed("_orig_mod."), "has names that begin with '_orig_mod.'"),
    ],
)
def test_names_of_another_network_or_wrapped_ones(tmp_path, weights, fault):
    assert f"channel pretrained (w.pth) {fault}" in pretrained(tmp_path, weights())


def changed(change, name="layer2.0.conv1.weight"):
    weights = build(1).state_dict()
    return weights | {name: change(weights[name])}


def with_value(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[11] = value
        return tensor

    return change


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (lambda: changed(lambda t: t.to(torch.int8)), "of type int8"),
        (lambda: changed(lambda t: t.to(torch.complex64)), "of type complex64"),
        (lambda: changed(lambda t: t > 0), "of type bool"),
        (lambda: changed(lambda t: t.to(torch.float8_e4m3fn)), "of type float8_e4m3fn"),
        (lambda: changed(lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)), "of type qint8"),
        (lambda: changed(lambda t: t.to_sparse()), "in layout sparse_coo"),
        pytest.param(
            lambda: changed(lambda t: torch.nested.nested_tensor([t, t[:1]])),
            "a nested tensor",
            marks=pytest.mark.filterwarnings("ignore"),  # it is a prototype
        ),
        (lambda: changed(lambda t: t.to("meta")), "without values (on device meta)"),
        (lambda: changed(lambda t: t.flatten()), "of shape (73728,)"),
        (lambda: changed(lambda t: t.tolist()), "a list"),
        (lambda: changed(lambda t: torch.zeros(1).expand(10**12)), "of shape (1000000000000,)"),
    ],
)
def test_a_tensor_that_is_not_plain_floating_point_of_its_shape(tmp_path, weights, fault):
    sentence = pretrained(tmp_path, weights())
    assert f"channel pretrained (w.pth): 'layer2.0.conv1.weight' is {fault}; accepted: a dense tensor" in sentence
    assert sentence.endswith("of shape (128, 64, 3, 3), in float32, float64, float16, bfloat16")


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (lambda: changed(with_value(math.nan)), "'layer2.0.conv1.weight' has values that are not finite"),
        (lambda: changed(with_value(-math.inf)), "'layer2.0.conv1.weight' has values that are not finite"),
        (lambda: changed(lambda t: with_value(1e300)(t.double())), "'layer2.0.conv1.weight' has values that are not"),
        (lambda: changed(lambda t: with_value(math.nan)(t.half())), "'layer2.0.conv1.weight' has values that are not"),
        (lambda: changed(with_value(math.inf), "bn1.running_mean"), "'bn1.running_mean' has values that are not"),
        (lambda: changed(with_value(-1.0), "bn1.running_var"), "'bn1.running_var' has negative values"),
        (lambda: changed(torch.zeros_like, "bn1.running_var"), "'bn1.running_var' is 0 everywhere; accepted: the var"),
        (lambda: changed(torch.zeros_like), "'layer2.0.conv1.weight' is 0 everywhere"),
        (lambda: changed(lambda t: torch.full_like(t, -0.5)), "'layer2.0.conv1.weight' is -0.5 everywhere"),
        (lambda: {name: torch.zeros_like(t) for name, t in build(1).state_dict().items()}, "'conv1.weight' is 0"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_values_that_cannot_be_weights(tmp_path, weights, fault, suffix):
    save = torch.save if suffix == ".pth" else safetensors.torch.save_file
    assert f"channel pretrained (w{suffix}): {fault}" in pretrained(tmp_path, weights(), f"w{suffix}", save)


@pytest.mark.parametrize(
    "view",
    [
        torch._neg_view,  # what the imaginary part of a conjugate is
        lambda tensor: tensor.flip(0).permute(0, 1, 3, 2),
        lambda tensor: tensor.repeat(1, 1, 1, 9)[..., ::9],
        torch.nn.Parameter,
    ],
)
def test_a_tensor_that_lies_in_memory_in_another_way_is_read_by_its_values(view):
    expected = view(build(1).state_dict()["layer2.0.conv1.weight"])
    weights = read_backbone(changed(view), "w.pth")
    assert torch.equal(weights["layer2.0.conv1.weight"], expected)
    assert weights["layer2.0.conv1.weight"].numpy().shape == (128, 64, 3, 3)


def test_weights_too_large_to_start_from(tmp_path, artifact_channel):
    huge = {name: tensor * 1e30 for name, tensor in build(1).state_dict().items() if tensor.is_floating_point()}
    assert re.fullmatch(
        r"channel pretrained \(w.pth\): 'conv1.weight' has values up to \d.\de\+\d\d; accepted: up to 1e\+10",
        pretrained(tmp_path, huge),
    )
    weights = build(1).state_dict() | {"fc.bias": torch.full((5,), 1e30)}
    save_artifact(artifact_channel, Artifact(FIVE, 32, 1e-5), weights)
    sentence = refusal(Hyperparameters(), {"model": artifact_channel})
    assert sentence == "channel model: 'fc.bias' has values up to 1.0e+30; accepted: up to 1e+10"


def test_imagenets_file_is_checked_too(tmp_path):
    torch.save(changed(with_value(math.nan)), tmp_path / "resnet18.pth")
    sha256 = hashlib.sha256((tmp_path / "resnet18.pth").read_bytes()).hexdigest()
    (tmp_path / "resnet18.pth.sha256").write_text(f"{sha256}  resnet18.pth\n")
    sentence = refusal(Hyperparameters(), {}, tmp_path)
    assert sentence.startswith("ImageNet (resnet18.pth): 'layer2.0.conv1.weight' has values that are not finite")
