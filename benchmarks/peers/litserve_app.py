"""LitServe with batching, a worker per core, and OpenVINO. Usage: litserve_app.py PORT. Environment: MODEL; FILE.

lightning.ai/docs/litserve: Batching; Speed up serving by 200x (base64 in JSON, workers_per_device).
"""

import base64
import sys

import decoders
import engines
import litserve
import numpy as np
from shared import CORES, FILE, SIZE, answer


class Api(litserve.LitAPI):
    def setup(self, device):
        self.forward = engines.openvino(FILE, threads=1)

    def decode_request(self, request):
        return decoders.by_pillow(base64.b64decode(request["image"]), SIZE)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        return self.forward(x)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return answer(output)


if __name__ == "__main__":
    api = Api(max_batch_size=8, batch_timeout=0.01, api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=CORES, timeout=60)
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="warning", num_api_servers=1)
