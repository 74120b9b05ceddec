import numpy as np
import torch
import torchvision

from classifier import network
from classifier.layers import CONVOLUTIONS


def test_every_batch_normalisation_layer_has_the_eps():
    layers = [m for m in network.build(5, eps=3e-9).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(layers) == 20
    assert {layer.eps for layer in layers} == {3e-9}


def test_it_equals_torchvisions_resnet18_and_its_random_start():
    torch.manual_seed(0)
    ours = network.build(7, eps=1e-5)
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=7)
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(ours.state_dict()[name], tensor) for name, tensor in theirs.state_dict().items())
    pixels = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(pixels), theirs(pixels))
    assert torch.equal(ours.eval()(pixels), theirs.eval()(pixels))


def test_the_convolutions_are_listed():
    found = [name for name, module in network.build(2, 1e-5).named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert sorted(name.replace("downsample.0", "downsample") for name in found) == sorted(CONVOLUTIONS)


def test_the_outputs_are_the_classes():
    assert network.build(5, eps=1e-5).eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_normalize():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    found = network.Normalize()(torch.from_numpy(pixels))
    expected = (pixels / 255 - network.MEAN) / network.STD
    assert found.shape == (2, 3, 4, 6)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_normalize_takes_other_statistics():
    found = network.Normalize((0, 0, 0), (1, 0.5, 0.25))(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8))
    torch.testing.assert_close(found.flatten(), torch.tensor([1.0, 2.0, 4.0]))


def test_without_weights_it_has_the_same_shapes():
    empty, full = network.build_empty(5, eps=1e-5).state_dict(), network.build(5, eps=1e-5).state_dict()
    assert {name: tensor.shape for name, tensor in empty.items()} == {name: t.shape for name, t in full.items()}
    assert all(tensor.is_meta for tensor in empty.values())
