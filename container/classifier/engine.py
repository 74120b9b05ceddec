"""Runs the network's ONNX files on the processor, by OpenVINO. Without torch."""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import openvino

from classifier.errors import UserError

DEVICE = "CPU"
# Of the networks' files.
INPUT, OUTPUT, UNLIKENESS = "pixels", "probabilities", "unlikeness"
# What with_features() adds, and the operation whose input it is.
FEATURES, POOLING = "activations", "average"
_TYPES = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16, "fp16": openvino.Type.f16}
# As OpenVINO names what a processor has instructions for.
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}


@cache
def _core() -> openvino.Core:
    return openvino.Core()


def list_precisions() -> tuple[str, ...]:
    """Return the precisions that this processor computes in."""
    found = _core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, name in _CAPABILITIES.items() if name in found)


def native_precision() -> str:
    """Return bf16 where the processor has instructions for it, else fp32."""
    chosen = _core().get_property(DEVICE, "INFERENCE_PRECISION_HINT")
    return next(precision for precision, type_ in _TYPES.items() if type_ == chosen)


def read(network: bytes) -> openvino.Model:
    """Return the network in an ONNX file. Raises UserError if OpenVINO does not understand it."""
    try:
        return _core().read_model(network)
    except RuntimeError as error:
        sentence = str(error).strip().splitlines()[-1]
        raise UserError(f"OpenVINO cannot run the network: {sentence}") from error


def rows(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a network's outputs as rows (n, classes), or (n, classes + 1) if it measures the unlikeness: see there."""
    return np.column_stack((found[OUTPUT], found[UNLIKENESS])) if UNLIKENESS in found else found[OUTPUT]


def with_features(network: bytes) -> openvino.Model:
    """Return the network in an ONNX file with one more output: what is averaged over all places.

    FEATURES is float32 (n, features, rows, columns). Raises UserError as read() does.
    """
    model = read(network)
    pooling = next(node for node in model.get_ops() if node.get_friendly_name() == POOLING)
    pooling.input_value(0).get_tensor().set_names({FEATURES})
    model.add_outputs(FEATURES)
    return model


class Engine:
    """A network, compiled for a number of cores.

    The first call of any Engine must be over before a second thread calls one: OpenVINO 2026.4 may else wait for ever.
    """

    def __init__(self, network: openvino.Model, precision: str, cores: int, streams: int = 1, batch: int | None = None):
        """Compile `network` for `streams` threads that call it at the same time, with `cores` between them.

        All calls have `batch` images, if it is given: an image alone on several cores takes 10 to 50 % less time then.

        `precision` is one of list_precisions(). An int8 network is in QDQ form, and what it leaves in floating point is
        computed in native_precision().
        """
        settings = {
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # other processes may be given the same cores
            "INFERENCE_PRECISION_HINT": _TYPES[native_precision() if precision == "int8" else precision],
            # Snippets fuse other operations where the batch's size is known, and round bf16 elsewhere: the answer of an
            # image alone was off by up to 0.085 from the one in a batch, and another class.
            "SNIPPETS_MODE": "DISABLE",
        }
        if batch:
            network = network.clone()
            network.reshape([batch, *network.input(0).partial_shape[1:]])
        self._compiled = _core().compile_model(network, DEVICE, settings)
        # Several, where the network's file gives a tensor another name for each of its uses.
        self._names = [output.names for output in self._compiled.outputs]

    def open(self) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        """Return a function for one thread: uint8 pixels (n, size, size, 3) to the network's outputs by their names."""
        request = self._compiled.create_infer_request()

        def run(pixels: np.ndarray) -> dict[str, np.ndarray]:
            # A third of the time of request.infer([pixels]), which also looks up names and types.
            request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(pixels), shared_memory=True))
            request.infer()
            found: dict[str, np.ndarray] = {}
            for i, names in enumerate(self._names):
                found.update(dict.fromkeys(names, request.get_output_tensor(i).data.copy()))
            return found

        return run
