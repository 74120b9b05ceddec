"""The ONNX files, run by OpenVINO and by ONNX's own reference, beside torch's network."""

import json
import math
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from classifier import engine, network, onnx_network
from classifier.artifact import Artifact
from classifier.engine import Engine
from classifier.layers import CONVOLUTIONS, STEM
from classifier.onnx_forms import INPUT_STEPS, WEIGHT_STEPS
from networks import trained

SIZE = 64
ABOUT = Artifact(tuple("abcdefghiç"), SIZE, 1e-5, temperature=1.3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
MODEL = trained()
WEIGHTS = {name: tensor.numpy() for name, tensor in MODEL.state_dict().items()}
RANGES = {name: (-8.0 if layer.is_shortcut else 0.0, 12.0) for name, layer in CONVOLUTIONS.items()}


def noise(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


@torch.inference_mode()
def expected(pixels: np.ndarray) -> np.ndarray:
    normalized = network.Normalize(ABOUT.mean, ABOUT.std)(torch.from_numpy(pixels))
    return (MODEL(normalized) / ABOUT.temperature).softmax(1).numpy()


def run(file: bytes, pixels: np.ndarray, precision: str = "fp32") -> dict[str, np.ndarray]:
    return Engine(engine.read(file), precision, cores=1).open()(pixels)


def test_its_probabilities_are_the_networks():
    found = run(onnx_network.build(ABOUT, WEIGHTS), noise())["probabilities"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(noise()), atol=1e-5)
    assert found.std(axis=0).max() > 0.01


@pytest.mark.parametrize("ranges", [None, RANGES])
def test_it_is_valid_onnx_and_says_what_it_is_of(ranges):
    model = onnx.load_from_string(onnx_network.build(ABOUT, WEIGHTS, ranges))
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == onnx_network.OPSET
    about = {one.key: one.value for one in model.metadata_props}
    assert (json.loads(about["classes"]), about["image_size"]) == (list(ABOUT.classes), str(SIZE))


def test_the_same_network_makes_the_same_file():
    assert onnx_network.build(ABOUT, WEIGHTS, RANGES) == onnx_network.build(ABOUT, WEIGHTS, RANGES)


def note(results: dict, name: str, least: float, module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
    results[name] = (max(output.min().item(), least), max(output.max().item(), least))


def test_observed_inputs_are_those_of_the_networks_modules():
    found, given = run(onnx_network.build_observed(ABOUT, WEIGHTS), noise()), {}
    modules = {name: MODEL.get_submodule(layer.weight) for name, layer in CONVOLUTIONS.items() if name != STEM}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: given.update({name: inputs[0].numpy()}))
        for name, module in modules.items()
    ]
    expected(noise())
    for hook in hooks:
        hook.remove()
    assert len(given) == 19
    for name, one in given.items():
        np.testing.assert_allclose(found[f"{name}.input"], one, atol=1e-3)


def test_observed_results_are_those_of_the_networks_modules():
    found = run(onnx_network.build_observed(ABOUT, WEIGHTS), noise())
    np.testing.assert_allclose(found["probabilities"], expected(noise()), atol=1e-5)
    results: dict[str, tuple[float, float]] = {}
    for name, layer in CONVOLUTIONS.items():
        # A block's second convolution ends with the block: its shortcut is added, and its ReLU follows.
        module = MODEL.get_submodule(name.removesuffix(".conv2") if name.endswith(".conv2") else layer.norm)
        module.register_forward_hook(partial(note, results, name, -math.inf if layer.is_shortcut else 0.0))
    expected(noise())
    assert results.keys() == CONVOLUTIONS.keys()
    for name, (low, high) in results.items():
        assert found[f"{name}.low"] == pytest.approx(low, abs=1e-3), name
        assert found[f"{name}.high"] == pytest.approx(high, abs=1e-3), name


def given_to(name: str, model: onnx.ModelProto) -> tuple[str, str]:
    """Return what made the inputs of a convolution, and what made its weights: the names of operators."""
    made = {node.output[0]: node for node in model.graph.node}
    inputs, weight, _ = made[name].input
    return made[inputs].op_type, made[weight].op_type if weight in made else "constant"


def test_int8_quantizes_what_is_multiplied_and_nothing_else():
    model = onnx.load_from_string(onnx_network.build(ABOUT, WEIGHTS, RANGES))
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for name in CONVOLUTIONS:
        assert given_to(name, model) == (("Div", "constant") if name == STEM else ("DequantizeLinear",) * 2)
        weight = constants[f"{name}.weight"]
        assert weight.dtype == (np.float32 if name == STEM else np.int8)
        assert name == STEM or (abs(weight.astype(int)).max((1, 2, 3)) == WEIGHT_STEPS).all()
    scales = [value for name, value in constants.items() if name.endswith((".relu.scale", "pool.scale"))]
    assert scales == pytest.approx([12 / INPUT_STEPS] * 16)  # a block and its shortcut are given the same


def test_int8_takes_the_rounded_weights_it_is_given():
    given = np.full(WEIGHTS["layer1.0.conv1.weight"].shape, 3, np.int8)
    model = onnx.load_from_string(onnx_network.build(ABOUT, WEIGHTS, RANGES, rounded={"layer1.0.conv1": given}))
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    np.testing.assert_array_equal(constants["layer1.0.conv1.weight"], given)
    assert abs(constants["layer1.0.conv2.weight"].astype(int)).max() == WEIGHT_STEPS


def test_two_products_fit_16_bits_on_a_processor_without_vnni():
    assert 2 * WEIGHT_STEPS * np.iinfo(np.uint8).max <= np.iinfo(np.int16).max


def test_int8_is_what_the_standard_says_it_is():
    """ONNX's reference computes each step in real numbers; an engine may differ by half a step in each layer."""
    file = onnx_network.build(ABOUT, WEIGHTS, RANGES)
    model = onnx.load_from_string(file)
    model.opset_import[0].version = 19  # the same operators; the reference has no older ones
    (reference,) = ReferenceEvaluator(model).run(None, {"pixels": noise(1)})
    np.testing.assert_allclose(run(file, noise(1), "int8")["probabilities"], reference, atol=0.03)


def test_a_convolution_whose_results_are_all_zero():
    ranges = RANGES | {"layer1.0.conv1": (0.0, 0.0)}
    assert np.isfinite(run(onnx_network.build(ABOUT, WEIGHTS, ranges), noise(), "int8")["probabilities"]).all()


def test_a_channel_of_weights_that_are_all_zero():
    weights = WEIGHTS | {"layer1.0.conv1.weight": np.zeros_like(WEIGHTS["layer1.0.conv1.weight"])}
    assert np.isfinite(run(onnx_network.build(ABOUT, weights, RANGES), noise(), "int8")["probabilities"]).all()
