"""The network in int8 compared with fp32, and its convolutions with their arithmetic in real numbers."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from classifier import quantized
from classifier.artifact import Quantization
from classifier.errors import UserError
from classifier.fused import Folded
from classifier.quantized import Int8, Steps, quantize
from networks import images, trained

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_int8 = pytest.mark.skipif(not quantized.is_possible(CPU), reason="this processor has no AVX2")


def folded(inputs: int = 16, outputs: int = 32, relu: bool = True) -> Folded:
    weight = torch.randn(outputs, inputs, 3, 3, generator=torch.Generator().manual_seed(0)) / 9
    return Folded("c", weight, torch.linspace(-1, 1, outputs), (1, 1), (1, 1), 9, relu)


def steps(channels: int, seed: int, zero: int = 0, most: int = 127) -> Steps:
    random = torch.Generator().manual_seed(seed)
    values = torch.randint(0, most + 1, (2, channels, 9, 9), dtype=torch.uint8, generator=random)
    return Steps(values.contiguous(memory_format=torch.channels_last), 0.03, zero)


def real(x: Steps) -> torch.Tensor:
    return (x.values.double() - x.zero) * x.size


@needs_int8
@pytest.mark.parametrize(("relu", "low"), [(True, 0.0), (False, -3.0)])
def test_a_convolution_equals_that_of_real_numbers_within_half_a_step(relu, low):
    x, layer = steps(16, seed=1), folded(relu=relu)
    found = Int8(layer, low, 4.0)
    weight = (layer.weight / found.scales[:, None, None, None]).round().double() * found.scales[:, None, None, None]
    expected = torch.nn.functional.conv2d(real(x), weight.double(), layer.bias.double(), padding=1)
    expected = (expected.relu() if relu else expected).clamp(low, 255 * found.size + low)
    assert (real(found(x)) - expected).abs().max() < 0.51 * found.size
    assert expected.std() > 10 * found.size


@needs_int8
def test_a_shortcut_is_added_before_the_relu():
    x, found = steps(16, seed=1), Int8(folded(outputs=16), 0.0, 6.0)
    alone = Int8(folded(outputs=16, relu=False), -20.0, 20.0)
    shortcut = steps(16, seed=2, zero=100, most=255)
    expected = (real(alone(x)) + real(shortcut)).relu().clamp(max=255 * found.size)
    shortcut = shortcut._replace(values=shortcut.values.clone())
    assert (real(found(x, shortcut)) - expected).abs().max() < 0.51 * (found.size + alone.size)


@needs_int8
@torch.inference_mode()
def test_the_network_finds_the_class_of_fp32():
    model, pixels = trained(), images(64, n=32)
    plain, ranges = quantized.observe(model, pixels.shape[-1])
    expected = plain(pixels)
    torch.testing.assert_close(expected, model(pixels), atol=1e-3, rtol=0)
    found = quantize(model, 64, ranges, torch.float32)(pixels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.softmax(1), expected.softmax(1), atol=0.1, rtol=0)
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.9
    assert torch.equal(found, quantize(model, 64, ranges, torch.float32)(pixels))


@torch.inference_mode()
def test_every_convolution_has_a_range():
    model, pixels = trained(), images(32)
    plain, ranges = quantized.observe(model, pixels.shape[-1])
    plain(pixels)
    assert len(ranges) == sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())
    stem = model.relu(model.bn1(model.conv1(pixels)))
    assert ranges["conv1"] == (0.0, pytest.approx(stem.max().item(), rel=1e-4))
    assert ranges["layer2.0.downsample"][0] < 0
    before = dict(ranges)
    plain(pixels * 3)
    assert all(ranges[name][1] >= before[name][1] for name in ranges)


SUMS = """
import test_quantized as t
print(t.Int8(t.folded(), 0.0, 6.0)(t.steps(16, seed=1)).values.flatten().tolist())
"""


@needs_int8
def test_a_processor_without_vnni_computes_the_same_sums():
    """With one bit more the largest values would overflow 16 bits."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    found = {
        subprocess.run(
            [sys.executable, "-c", SUMS],
            env=os.environ | {"PYTHONPATH": path, "ONEDNN_MAX_CPU_ISA": isa},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for isa in ("AVX2", "ALL")
    }
    assert len(found) == 1


MEASURED = Quantization({}, 100, 0.0)


@pytest.mark.parametrize(
    ("wanted", "device", "measured", "chosen"),
    [
        ("auto", CPU, MEASURED, True),
        ("auto", CPU, replace(MEASURED, accuracy_lost=-0.01), True),
        ("auto", CPU, replace(MEASURED, accuracy_lost=0.003), False),
        ("auto", CPU, None, False),
        ("auto", CUDA, MEASURED, False),
        ("fp32", CPU, MEASURED, False),
        ("int8", CPU, replace(MEASURED, accuracy_lost=0.5), True),
    ],
)
def test_when_int8_is_chosen(monkeypatch, wanted, device, measured, chosen):
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert quantized.choose(wanted, device, measured) is (measured if chosen else None)


def test_int8_that_cannot_be_used(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    with pytest.raises(UserError, match="needs an artifact with a quantization.*; accepted for this one: auto, fp32"):
        quantized.choose("int8", CPU, None)
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: False)
    assert quantized.choose("auto", CPU, MEASURED) is None
    with pytest.raises(UserError, match="for processors with AVX2; accepted here: auto, fp32"):
        quantized.choose("int8", CPU, MEASURED)
