"""The network as an ONNX file, which other tools open too: uint8 pixels in, probabilities and unlikeness out.

The pixels' normalisation and the temperature are inside, and each batch normalisation is folded into the convolution
before it. In int8 the file is in QDQ form: QuantizeLinear and DequantizeLinear follow each convolution's result, and
its weights are int8. See https://onnx.ai/onnx/operators.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from classifier.artifact import Artifact, Range
from classifier.engine import INPUT, OUTPUT, POOLING, UNLIKENESS
from classifier.folding import fold
from classifier.layers import BLOCKS, CONVOLUTIONS, HEAD, STEM, Convolution
from classifier.unlikeness import Measure

# Both are older than the engines of the last three years.
OPSET, IR_VERSION = 17, 8
# Steps from 0 to the largest value. A processor without VNNI adds two products in 16 bits, where 2 x 127 x 127 is less
# than 2^15. Results have room for twice as many, so that an image beyond those measured is not cut off.
STEPS = 127
# A result that is only added, and never multiplied, may use all 8 bits.
ADDED_STEPS = 255


def build(
    about: Artifact,
    weights: Mapping[str, np.ndarray],
    ranges: Mapping[str, Range] | None = None,
    measure: Measure | None = None,
) -> bytes:
    """Return the ONNX file of a network with `weights`, under torchvision's names; in int8 if there are `ranges`.

    `ranges` maps each convolution to its lowest and highest result. The input is uint8 RGB of shape
    (n, image_size, image_size, 3), the outputs are float32: probabilities (n, classes) and, with a `measure`,
    unlikeness (n,), which in int8 has the limit of `about`.
    """
    if ranges and measure and about.unlikeness:
        measure = measure.with_limit(about.unlikeness.limit_int8)
    return _Network(about, weights, _Int8(ranges) if ranges else _Float(), measure).as_bytes()


def build_observed(about: Artifact, weights: Mapping[str, np.ndarray], measure: Measure | None = None) -> bytes:
    """Return the file in fp32, with two more outputs for each convolution, NAME.low and NAME.high.

    They are its lowest and highest result for the batch, float32 of shape ().
    """
    return _Network(about, weights, _Observed(), measure).as_bytes()


def properties(network: bytes) -> dict[str, str]:
    """Return what an ONNX file says of itself. Raises google.protobuf's DecodeError if it is none."""
    return {one.key: one.value for one in onnx.load_model_from_string(network).metadata_props}


class _Graph:
    """The nodes and constants of an ONNX graph; each method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def output(self, name: str, shape: list[str | int]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


class _Float:
    """How weights and results of convolutions are written: here as they are, in fp32."""

    def weight(self, graph: _Graph, layer: Convolution, weight: np.ndarray) -> str:
        return graph.constant(f"{layer.name}.weight", weight)

    def result(self, graph: _Graph, layer: Convolution, result: str) -> str:
        return result


class _Observed(_Float):
    def result(self, graph: _Graph, layer: Convolution, result: str) -> str:
        for operator, end in (("ReduceMin", "low"), ("ReduceMax", "high")):
            graph.output(graph.node(operator, [result], f"{layer.name}.{end}", keepdims=0), [])
        return result


class _Int8:
    """Weights in int8 with a scale for each output channel, and results in uint8 with one scale."""

    def __init__(self, ranges: Mapping[str, Range]):
        self.ranges = ranges

    def weight(self, graph: _Graph, layer: Convolution, weight: np.ndarray) -> str:
        if layer.name == STEM:  # int8 gains nothing on its three input channels
            return graph.constant(f"{layer.name}.weight", weight)
        scales = np.maximum(np.abs(weight).max((1, 2, 3)) / STEPS, np.finfo(np.float32).tiny).astype(np.float32)
        steps = np.round(weight / scales[:, None, None, None]).astype(np.int8)
        quantized = [
            graph.constant(f"{layer.name}.weight", steps),
            graph.constant(f"{layer.name}.weight_scale", scales),
            graph.constant(f"{layer.name}.weight_zero_point", np.zeros(len(scales), np.int8)),
        ]
        return graph.node("DequantizeLinear", quantized, f"{layer.name}.dequantized_weight", axis=0)

    def result(self, graph: _Graph, layer: Convolution, result: str) -> str:
        low, high = self.ranges[layer.name]
        scale = np.float32((high - low) / (ADDED_STEPS if layer.is_shortcut else STEPS) or 1.0)
        parameters = [
            graph.constant(f"{layer.name}.scale", scale),
            graph.constant(f"{layer.name}.zero_point", np.uint8(round(-low / float(scale)))),
        ]
        steps = graph.node("QuantizeLinear", [result, *parameters], f"{layer.name}.quantized")
        return graph.node("DequantizeLinear", [steps, *parameters], f"{layer.name}.dequantized")


class _Network:
    """ResNet18, written from its input to its output."""

    def __init__(
        self, about: Artifact, weights: Mapping[str, np.ndarray], form: _Float | _Int8, measure: Measure | None = None
    ):
        self.about, self.weights, self.form, self.graph = about, weights, form, _Graph()
        self.graph.output(OUTPUT, ["n", len(about.classes)])
        x = self.relu(self.convolution(STEM, self.normalized()), STEM)
        window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
        x = self.result(STEM, self.graph.node("MaxPool", [x], "pool", **window))
        for block in BLOCKS:
            x = self.block(block, x)
        features = self.graph.node("Flatten", [self.graph.node("GlobalAveragePool", [x], POOLING)], "features", axis=1)
        self.head(features)
        if measure:
            self.measure(features, measure)

    def normalized(self) -> str:
        """Add the pixels in the network's order and statistics, float32 (n, 3, image_size, image_size)."""
        graph, about = self.graph, self.about
        mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) * 255 for values in (about.mean, about.std))
        x = graph.node("Transpose", [INPUT], "channels_first", perm=[0, 3, 1, 2])
        x = graph.node("Cast", [x], "float_pixels", to=TensorProto.FLOAT)
        x = graph.node("Sub", [x, graph.constant("mean", mean)], "centred")
        return graph.node("Div", [x, graph.constant("std", std)], "normalized")

    def block(self, name: str, x: str) -> str:
        first, second, resize = f"{name}.conv1", f"{name}.conv2", f"{name}.downsample"
        inside = self.result(first, self.relu(self.convolution(first, x), first))
        shortcut = self.result(resize, self.convolution(resize, x)) if resize in CONVOLUTIONS else x
        added = self.graph.node("Add", [self.convolution(second, inside), shortcut], f"{name}.sum")
        return self.result(second, self.relu(added, second))

    def convolution(self, name: str, x: str) -> str:
        layer = CONVOLUTIONS[name]
        weight, bias = fold(self.weights, layer, self.about.eps)
        inputs = [x, self.form.weight(self.graph, layer, weight), self.graph.constant(f"{name}.bias", bias)]
        padding = layer.kernel // 2
        return self.graph.node(
            "Conv", inputs, name, kernel_shape=[layer.kernel] * 2, pads=[padding] * 4, strides=[layer.stride] * 2
        )

    def relu(self, x: str, name: str) -> str:
        return self.graph.node("Relu", [x], f"{name}.relu")

    def result(self, name: str, x: str) -> str:
        return self.form.result(self.graph, CONVOLUTIONS[name], x)

    def head(self, features: str) -> None:
        """Add the last layer, with the temperature in it."""
        graph = self.graph
        inputs = [features]
        for name in (f"{HEAD}.weight", f"{HEAD}.bias"):
            value = self.weights[name].astype(np.float64) / self.about.temperature
            inputs.append(graph.constant(name, value.astype(np.float32)))
        graph.node("Softmax", [graph.node("Gemm", inputs, "logits", transB=1)], OUTPUT, axis=1)

    def measure(self, features: str, measure: Measure) -> None:
        graph, mean = self.graph, self.graph.constant("roots_mean", measure.mean)
        centred = graph.node("Sub", [graph.node("Sqrt", [features], "roots"), mean], "centred_roots")
        scaled = graph.node("MatMul", [centred, graph.constant("roots_weight", measure.weight)], "scaled_roots")
        graph.output(graph.node("ReduceL2", [scaled], UNLIKENESS, axes=[1], keepdims=0), ["n"])

    def as_bytes(self) -> bytes:
        about, graph = self.about, self.graph
        size = about.image_size
        pixels = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", size, size, 3])
        made = helper.make_graph(graph.nodes, about.architecture, [pixels], graph.outputs, graph.constants)
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        described = {"classes": json.dumps(about.classes, ensure_ascii=False), "image_size": str(size)}
        helper.set_model_props(model, described)
        return model.SerializeToString(deterministic=True)
