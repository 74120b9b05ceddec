"""How the parts of an ONNX network's convolutions are written: in fp32, in fp32 with what is observed, or in int8.

In int8 they are in QDQ form: what a convolution multiplies, its inputs and its weights, passes QuantizeLinear and
DequantizeLinear. Results are added as they are. See https://onnx.ai/onnx/operators.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from classifier.artifact import Range
from classifier.layers import STEM, Convolution

# Of a weight, on either side of 0. A processor without VNNI adds two products in 16 bits, where 2 x 63 x 255 is less
# than 2^15: so it computes the same as others.
WEIGHT_STEPS = 63
# Of an input, up to the largest that was measured. The 255 of uint8 leave room for a quarter more, so that an image
# beyond those measured is not cut off.
INPUT_STEPS = 200


class Graph:
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


class Float:
    """How inputs, weights and results of convolutions are written: here as they are, in fp32."""

    def given(self, graph: Graph, layer: Convolution, x: str) -> str:
        return x

    def weight(self, graph: Graph, layer: Convolution, weight: np.ndarray) -> str:
        return graph.constant(f"{layer.name}.weight", weight)

    def result(self, graph: Graph, layer: Convolution, result: str) -> str:
        return result


class Observed(Float):
    """In fp32, with three more outputs for each convolution, which are float32.

    NAME.low and NAME.high, of shape (), are its lowest and highest result for the batch. NAME.input is what it is
    given, (n, inputs, rows, columns), if int8 rounds its weights.
    """

    def given(self, graph: Graph, layer: Convolution, x: str) -> str:
        if layer.name != STEM:
            graph.output(graph.node("Identity", [x], f"{layer.name}.input"), ["n", layer.inputs, "rows", "columns"])
        return x

    def result(self, graph: Graph, layer: Convolution, result: str) -> str:
        for operator, end in (("ReduceMin", "low"), ("ReduceMax", "high")):
            graph.output(graph.node(operator, [result], f"{layer.name}.{end}", keepdims=0), [])
        return result


class Int8(Float):
    """Weights in int8 with a scale for each output channel, and inputs in uint8 with one scale."""

    def __init__(self, ranges: Mapping[str, Range], rounded: Mapping[str, np.ndarray]):
        """`ranges` has each convolution's lowest and highest result, `rounded` the steps of weights, int8.

        Weights that `rounded` lacks are rounded to the nearest step.
        """
        self.ranges, self.rounded = ranges, rounded
        self.highest: dict[str, float] = {}  # of results, by their names in the graph
        self.quantized: dict[str, str] = {}  # the same, to what they are after both operators

    def given(self, graph: Graph, layer: Convolution, x: str) -> str:
        if layer.name == STEM:  # int8 gains nothing on its three input channels
            return x
        if x not in self.quantized:  # a block's shortcut may be given the same
            scale = graph.constant(f"{x}.scale", np.float32(self.highest[x] / INPUT_STEPS or 1.0))
            parameters = [scale, graph.constant(f"{x}.zero_point", np.uint8(0))]
            steps = graph.node("QuantizeLinear", [x, *parameters], f"{x}.quantized")
            self.quantized[x] = graph.node("DequantizeLinear", [steps, *parameters], f"{x}.dequantized")
        return self.quantized[x]

    def weight(self, graph: Graph, layer: Convolution, weight: np.ndarray) -> str:
        if layer.name == STEM:
            return super().weight(graph, layer, weight)
        scales = weight_scales(weight)
        steps = self.rounded.get(layer.name)
        if steps is None:
            steps = np.rint(weight / scales[:, None, None, None]).astype(np.int8)
        quantized = [
            graph.constant(f"{layer.name}.weight", steps),
            graph.constant(f"{layer.name}.weight_scale", scales),
            graph.constant(f"{layer.name}.weight_zero_point", np.zeros(len(scales), np.int8)),
        ]
        return graph.node("DequantizeLinear", quantized, f"{layer.name}.dequantized_weight", axis=0)

    def result(self, graph: Graph, layer: Convolution, result: str) -> str:
        _, self.highest[result] = self.ranges[layer.name]
        return result


def weight_scales(weight: np.ndarray) -> np.ndarray:
    """Return the size of a step of int8 for each output of a convolution's weight, float32 (outputs,)."""
    return np.maximum(np.abs(weight).max((1, 2, 3)) / WEIGHT_STEPS, np.finfo(np.float32).tiny).astype(np.float32)
