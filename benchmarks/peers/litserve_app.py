"""A LitServe server with batching, as in its documentation: base64 in JSON. Usage: litserve_app.py PORT"""

import base64
import io
import os
import sys

import litserve
import resnet18
import torch
from PIL import Image


class Api(litserve.LitAPI):
    def setup(self, device):
        if self.workers > 1:
            torch.set_num_threads(1)
        self.model = resnet18.load()

    def decode_request(self, request):
        image = Image.open(io.BytesIO(base64.b64decode(request["image"]))).convert("RGB")
        return resnet18.TRANSFORM(image)

    def batch(self, inputs):
        return torch.stack(inputs)

    def predict(self, x):
        with torch.inference_mode():
            return self.model(x)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"predictions": resnet18.top(output)}


if __name__ == "__main__":
    api = Api(max_batch_size=8, batch_timeout=0.01)
    api.workers = int(os.environ.get("WORKERS", "1"))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=api.workers)
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="warning", num_api_servers=1)
