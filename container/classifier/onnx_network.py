"""The network as an ONNX file, which other tools open too: uint8 pixels in, probabilities and unlikeness out.

The pixels' normalisation and the temperature are inside, and each batch normalisation is folded into the convolution
before it.
"""

import json
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from classifier.artifact import Artifact, Range
from classifier.engine import INPUT, OUTPUT, POOLING, UNLIKENESS
from classifier.folding import fold
from classifier.layers import BLOCKS, CONVOLUTIONS, HEAD, STEM
from classifier.onnx_forms import Float, Graph, Int8, Observed
from classifier.unlikeness import Measure

# Both are older than the engines of the last three years.
OPSET, IR_VERSION = 17, 8


def build(
    about: Artifact,
    weights: Mapping[str, np.ndarray],
    ranges: Mapping[str, Range] | None = None,
    measure: Measure | None = None,
    rounded: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """Return the ONNX file of a network with `weights`, under torchvision's names; in int8 if there are `ranges`.

    `ranges` and `rounded` are as for Int8. The input is uint8 RGB of shape (n, image_size, image_size, 3), the outputs
    are float32: probabilities (n, classes) and, with a `measure`, unlikeness (n,), which in int8 has the limit of
    `about`.
    """
    if ranges and measure and about.unlikeness:
        measure = measure.with_limit(about.unlikeness.limit_int8)
    return _Network(about, weights, Int8(ranges, rounded or {}) if ranges else Float(), measure).as_bytes()


def build_observed(about: Artifact, weights: Mapping[str, np.ndarray], measure: Measure | None = None) -> bytes:
    """Return the file in fp32, with the outputs that Observed adds."""
    return _Network(about, weights, Observed(), measure).as_bytes()


def properties(network: bytes) -> dict[str, str]:
    """Return what an ONNX file says of itself. Raises google.protobuf's DecodeError if it is none."""
    return {one.key: one.value for one in onnx.load_model_from_string(network).metadata_props}


class _Network:
    """ResNet18, written from its input to its output."""

    def __init__(self, about: Artifact, weights: Mapping[str, np.ndarray], form: Float, measure: Measure | None = None):
        self.about, self.weights, self.form, self.graph = about, weights, form, Graph()
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
        x, weight = self.form.given(self.graph, layer, x), self.form.weight(self.graph, layer, weight)
        inputs = [x, weight, self.graph.constant(f"{name}.bias", bias)]
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
