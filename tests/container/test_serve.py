"""Serving in the image under the limits of an endpoint: other users, read-only, little memory, signals."""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conftest import CLASSES
from helpers import Server, encode, free_port, photo

STOP_S = 30  # SageMaker's deadline between SIGTERM and SIGKILL
JPEG = encode(photo(300, 200))
LIMITS = ("--read-only", "--tmpfs=/tmp", "--user=65534:65534", "--cap-drop=ALL", "--pids-limit=200")


@dataclass
class Container:
    """A running container, which a Server has instead of a process."""

    engine: object
    id: str

    def state(self, key: str) -> str:
        return self.engine.run("inspect", f"--format={{{{.State.{key}}}}}", self.id).stdout.strip()

    def poll(self) -> str | None:
        return None if self.state("Status") == "running" else self.state("ExitCode")


class Endpoint(Server):
    @property
    def log(self) -> str:
        return self.process.engine.run("logs", self.process.id).stdout


@contextmanager
def serving(image, model: Path, *options: str):
    """Yield an Endpoint with the artifact in `model`, mounted as SageMaker does."""
    port = free_port()
    mounted = f"--volume={model}:/opt/ml/model:ro"
    command = ("run", "--detach", f"--publish=127.0.0.1:{port}:8080", mounted, *options, image.name, "serve")
    container = Container(image.engine, image.engine.run(*command).stdout.split()[-1])
    try:
        endpoint = Endpoint(container, port, log_file=Path())
        endpoint.wait_for_ping(200)
        yield endpoint
    finally:
        image.engine.run("rm", "--force", container.id)


def invoke(server: Server, body: bytes, media_type: str = "image/jpeg"):
    return server.request("POST", "/invocations", body, {"Content-Type": media_type})


def test_read_only_as_another_user_until_it_is_told_to_stop(image, artifact_folder):
    with serving(image, artifact_folder, *LIMITS, "--memory=2g") as server:
        answer = invoke(server, JPEG)
        assert answer.status == 200
        assert {one["class"] for one in json.loads(answer.body)["predictions"]} <= set(CLASSES)
        image.engine.run("stop", f"--time={STOP_S}", server.process.id)
        assert server.process.state("ExitCode") == "0"  # after STOP_S the engine would have killed it: 137


def test_an_image_too_large_for_the_memory_is_refused_and_costs_no_worker(image, artifact_folder):
    with serving(image, artifact_folder, *LIMITS, "--memory=512m", "--memory-swap=512m") as server:
        # A palette with a transparent colour: all pixels are converted, and several copies of them exist at once.
        large = encode(photo(4890, 4890).quantize(16), "PNG", transparency=0, compress_level=1)
        answer = invoke(server, large, "image/png")
        assert answer.status == 400, answer.body
        assert re.search("it may take .* MB of memory to decode; accepted on this machine: ", answer.body.decode())
        assert invoke(server, JPEG).status == 200
        assert "SIGKILL" not in server.log
