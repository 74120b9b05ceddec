"""The fused network compared with the plain one, whose batch statistics are as training leaves them."""

import pytest
import torch

from classifier import fused, network
from classifier.fused import FusedNetwork, Plain
from networks import images, trained

CPU = torch.device("cpu")


@pytest.fixture
def model() -> network.ResNet18:
    return trained()


@pytest.mark.parametrize("size", [32, 75, 224])
@torch.inference_mode()
def test_fp32_is_exact_to_four_digits(model, size):
    pixels = images(size)
    expected = model(pixels).softmax(1)
    assert expected.max() > 0.2  # more than chance, or closeness would mean nothing
    found = fused.fuse(model, pixels.shape[-1], torch.float32, CPU)(pixels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.softmax(1), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_without_onednn(model):
    pixels = images(64)
    expected = model(pixels).softmax(1)
    found = FusedNetwork(model, 64, lambda folded: Plain(folded, torch.float32), torch.float32)(pixels)
    torch.testing.assert_close(found.softmax(1), expected, atol=1e-4, rtol=0)


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bf16 kernels")
@torch.inference_mode()
def test_bf16_finds_the_same_class(model):
    pixels = images(64, n=16)
    expected = model(pixels)
    found = fused.fuse(model, 64, torch.bfloat16, CPU)(pixels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.softmax(1), expected.softmax(1), atol=0.1, rtol=0)
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.9


@torch.inference_mode()
def test_a_call_leaves_its_input_as_it_was(model):
    pixels = images(32)
    before = pixels.clone()
    prepared = fused.fuse(model, 32, torch.float32, CPU)
    assert torch.equal(prepared(pixels), prepared(pixels))
    assert torch.equal(pixels, before)
