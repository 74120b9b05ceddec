"""BentoML with adaptive batching, a worker per core, and OpenVINO. Environment: MODEL; FILE, its ONNX file.

docs.bentoml.com: Adaptive batching; Parallelize requests handling (workers); Define input and output types (images, in
a form).
"""

import bentoml
import decoders
import engines
import numpy as np
from PIL import Image
from shared import CORES, FILE, SIZE, answer


@bentoml.service(workers=CORES, traffic={"timeout": 60})
class Classifier:
    def __init__(self) -> None:
        self.forward = engines.openvino(FILE, threads=1)

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=10_000, route="/invocations")
    def classify(self, images: list[Image.Image]) -> list[dict]:
        pixels = np.stack([decoders.pixels(image, SIZE) for image in images])
        return [answer(row) for row in self.forward(pixels)]
