"""What the service does for a multi-model endpoint: it loads a model when it is asked for, and unloads another for it.

docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoints.html
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from helpers import Answer, Server


class ManyModels:
    """A container that has many models, in front of which is the service; `unloaded` are those that it gave up."""

    def __init__(self, server: Server, root: Path, read: Callable[[str], bytes]):
        """`read` returns the artifact of a TargetModel."""
        self.server, self.root, self.read = server, root, read
        self.unloaded: list[str] = []

    def ask(self, target: str, data: bytes, headers: dict[str, str]) -> Answer:
        """Return the model's answer."""
        name = hashlib.sha256(target.encode()).hexdigest()
        if self.server.request("GET", f"/models/{name}").status == 404:
            answer = self.load(name, target)
            if answer.status != 200:
                return answer
        return self.server.request("POST", f"/models/{name}/invoke", data, headers)

    def load(self, name: str, target: str) -> Answer:
        """Unpack a model and load it, after unloading others for as long as there is no memory."""
        folder = self.root / "models" / name / "model"
        with tarfile.open(fileobj=io.BytesIO(self.read(target))) as archive:
            archive.extractall(folder, filter="data")
        body = json.dumps({"model_name": name, "url": str(folder)})
        while (answer := self.server.request("POST", "/models", body)).status == 507:
            loaded = json.loads(self.server.request("GET", "/models").body)["models"]
            if not loaded:
                break
            self.unloaded.append(loaded[0]["modelName"])
            assert self.server.request("DELETE", f"/models/{self.unloaded[-1]}").status == 200
        return answer
