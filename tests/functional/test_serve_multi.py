"""container/serve with many models: loads while others answer, a killed worker, a lack of memory, and the end."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers import Answer, Server, serve
from serving_helpers import JPEG, assert_error
from waits import PATIENCE_S, wait_until

MODELS = ("a", "b", "c")
# Of MODELS two fit, each of which takes 99 MB in fp32 at 32 px.
ROOM = {"SERVE_PRECISION": "fp32", "SERVE_MODELS_MB": "220"}


@pytest.fixture(scope="module")
def root(module_path, artifact_folder) -> Path:
    """A root folder with unpacked artifacts, each of other classes."""
    for name in MODELS:
        folder = module_path / "models" / name / "model"
        shutil.copytree(artifact_folder, folder, copy_function=os.link)
        metadata = json.loads((folder / "model.json").read_text())
        (folder / "model.json").unlink()
        metadata["classes"] = [f"{name}{number}" for number in range(len(metadata["classes"]))]
        (folder / "model.json").write_text(json.dumps(metadata))
    return module_path


@pytest.fixture(scope="module")
def server(root, tmp_path_factory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("multi") / "log"
    with serve(root, log, SAGEMAKER_MULTI_MODEL="true", **ROOM) as running:
        running.wait_for_ping(200)
        yield running


def load(server: Server, root: Path, name: str) -> Answer:
    body = {"model_name": name, "url": str(root / "models" / name / "model")}
    return server.request("POST", "/models", json.dumps(body))


def loaded(server: Server) -> list[str]:
    answer = server.request("GET", "/models")
    assert answer.status == 200, answer.body
    return [one["modelName"] for one in json.loads(answer.body)["models"]]


def invoke(server: Server, name: str) -> Answer:
    return server.request("POST", f"/models/{name}/invoke", JPEG, {"Content-Type": "image/jpeg"})


def assert_answers(server: Server, name: str) -> None:
    answer = invoke(server, name)
    assert answer.status == 200, answer.body
    assert {one["class"][0] for one in json.loads(answer.body)["predictions"]} == {name}


def test_models_are_loaded_and_unloaded_while_another_answers(server, root):
    assert loaded(server) == []
    assert load(server, root, "a").status == 200
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            loads = [pool.submit(load, server, root, "b") for _ in range(2)]
            while not all(one.done() for one in loads):
                assert_answers(server, "a")
            assert sorted(one.result(PATIENCE_S).status for one in loads) == [200, 409]
            assert_answers(server, "b")
            assert_error(load(server, root, "c"), 507, "there is no memory for the model c")
            assert server.request("DELETE", "/models/b").status == 200
            assert_error(invoke(server, "b"), 404, "the model 'b' is not loaded")
    assert loaded(server) == ["a"]


def test_a_killed_worker_leaves_its_models_to_the_next(server, root):
    load(server, root, "b")
    os.kill(server.workers[-1], signal.SIGKILL)
    wait_until(lambda: server.log.count("ready for up to") == 2, "the next worker is ready")
    server.wait_for_ping(200)
    wait_until(lambda: loaded(server) == ["a", "b"], "its models are back")
    for name in loaded(server):
        assert_answers(server, name)


def test_what_was_put_in_a_models_place_is_not_served_by_the_next_worker_unasked(server, root):
    shutil.rmtree(root / "models/b/model")
    shutil.copytree(root / "models/c/model", root / "models/b/model")
    os.kill(server.workers[-1], signal.SIGKILL)
    wait_until(lambda: "b could not be loaded again" in server.log, "the next worker has seen it")
    wait_until(lambda: loaded(server) == ["a"], "the other model is back")
    assert_error(invoke(server, "b"), 404, "the model 'b' is not loaded")
    assert load(server, root, "b").status == 200
    assert {one["class"][0] for one in json.loads(invoke(server, "b").body)["predictions"]} == {"c"}


def test_sigterm_ends_it(server):
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in server.log
