"""The artifact's ONNX files in OpenVINO and in ONNX Runtime, as functions from pixels to probabilities.

Both take uint8 (n, size, size, 3) and return float32 (n, classes). An engine is imported where it is used, since each
peer has only one.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

Forward = Callable[[np.ndarray], np.ndarray]


def openvino(file: Path, threads: int, precision: str | None = None, batch: int | None = None) -> Forward:
    """Return the model on `threads` cores.

    `precision`, f32 or bf16, is that of what the file leaves in floating point; by default OpenVINO chooses. With
    `batch`, all calls have so many images.
    """
    import openvino as ov

    core = ov.Core()
    model = core.read_model(file)
    if batch:
        model.reshape([batch, *model.input(0).partial_shape[1:]])
    # OpenVINO pins its threads by default: those of several processes to the same core.
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    if precision:
        options["INFERENCE_PRECISION_HINT"] = precision
    request = core.compile_model(model, "CPU", options).create_infer_request()
    return lambda pixels: request.infer({0: pixels}, share_inputs=True)[0]


def onnxruntime(file: Path, threads: int) -> Forward:
    """Return the model on `threads` cores. May be called in several threads at once."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait by spinning take the cores from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})[0]
