import os
import shutil
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from classifier import artifact
from classifier.contract import Contract
from classifier.serving import multi
from classifier.serving.journal import Journal, Planned
from classifier.serving.models import Models
from classifier.serving.multi import create_app
from classifier.serving.share import Share
from conftest import CLASSES
from helpers import encode, photo

JPEG = encode(photo(60, 50))


class Endpoint:
    """A root folder with the unpacked artifacts a, b and c, and a client of the application."""

    def __init__(self, root, artifact_folder):
        self.contract, self.is_ready, self.journal = Contract(root, {}), threading.Event(), Journal()
        for name in "abc":
            shutil.copytree(artifact_folder, self.url(name), copy_function=os.link)
        self.restart()

    def restart(self) -> None:
        """Start the application anew, as after the end of its process."""
        self.models = Models(10**9, "fp32", 1, self.journal)
        app = create_app(self.models, self.is_ready, self.contract, Share(1))
        self.client: FlaskClient = app.test_client()
        self.is_ready.set()

    def url(self, name: str) -> str:
        return str(self.contract.models / name / "model")

    def load(self, name: object, url: object = None) -> TestResponse:
        return self.client.post(
            "/models", json={"model_name": name, "url": self.url(str(name)) if url is None else url}
        )

    def invoke(self, name: str, data: bytes = JPEG) -> TestResponse:
        return self.client.post(f"/models/{name}/invoke", data=data, content_type="image/jpeg")


@pytest.fixture
def endpoint(tmp_path, artifact_folder) -> Endpoint:
    return Endpoint(tmp_path, artifact_folder)


def assert_error(response: TestResponse, status: int, sentence: str) -> None:
    assert response.status_code == status, response.text
    assert sentence in response.json["error"]


def test_the_life_of_a_model(endpoint):
    described = {"modelName": "a", "modelUrl": endpoint.url("a")}
    assert endpoint.client.get("/ping").status_code == 200
    assert endpoint.client.get("/models").json == {"models": []}
    assert endpoint.load("a").json == described
    assert endpoint.client.get("/models").json == {"models": [described]}
    assert endpoint.client.get("/models/a").json == described
    answer = endpoint.invoke("a")
    assert {one["class"] for one in answer.json["predictions"]} < set(CLASSES)
    assert "Server-Timing" in answer.headers
    assert_error(endpoint.load("a"), 409, "the model a is loaded already")
    digest = artifact.read(Path(endpoint.url("a"))).digest
    assert endpoint.journal.read() == {"a": (endpoint.url("a"), 0, digest)}
    assert endpoint.client.delete("/models/a").status_code == 200
    assert endpoint.journal.read() == {}
    gone = "the model 'a' is not loaded"
    assert_error(endpoint.client.delete("/models/a"), 404, gone)
    assert_error(endpoint.client.get("/models/a"), 404, gone)
    assert_error(endpoint.invoke("a"), 404, gone)


def test_the_list_has_pages(endpoint, monkeypatch):
    monkeypatch.setattr(multi, "PAGE", 2)
    urls = {"a": "/a", "b": "/b", "c": "/c"}
    monkeypatch.setattr(endpoint.models, "urls", lambda: urls)
    first = endpoint.client.get("/models").json
    assert [one["modelName"] for one in first["models"]] == ["a", "b"]
    del urls["b"]  # which is unloaded meanwhile
    second = endpoint.client.get(f"/models?next_page_token={first['nextPageToken']}").json
    assert [one["modelName"] for one in second["models"]] == ["c"]
    assert "nextPageToken" not in second


@pytest.mark.parametrize("token", ["zzz", "a", "100", "after:", "after:a/b", "after:a%0a", "%20", "x" * 5000])
def test_a_token_that_no_page_gave_is_refused(endpoint, token):
    assert_error(endpoint.client.get(f"/models?next_page_token={token}"), 400, "next_page_token is '")
    assert endpoint.client.get("/models?next_page_token=").json == {"models": []}


def test_without_memory_the_service_is_asked_to_unload_another(endpoint, monkeypatch):
    monkeypatch.setattr("classifier.serving.models.free_memory", lambda: 0)
    assert_error(endpoint.load("a"), 507, "there is no memory for the model a: it needs ")


def test_names_that_are_not_accepted(endpoint):
    for name in ("", ".a", "a/b", "../a", "a b", "ä", "a" * 257, "a\n", 1, None):
        assert_error(endpoint.load(name, endpoint.url("a")), 400, "accepted: up to 256 letters, digits and . _ -")


def test_folders_that_are_not_accepted(endpoint, tmp_path):
    (endpoint.contract.models / "link").symlink_to("/etc")
    (endpoint.contract.models / "file").touch()
    here = endpoint.contract.models
    (endpoint.contract.models / "circle").symlink_to("circle")
    for url in (
        "",
        "a/model",
        "/etc",
        f"{here}",
        f"{here}/..",
        f"{here}/link",
        f"{here}/file",
        f"{here}/none",
        f"{here}/{'x' * 300}",
        f"{here}/circle",
        "\0",
        1,
    ):
        assert_error(endpoint.load("a", url), 400, f"accepted: a folder below {here}")


def test_a_folder_that_is_not_there(endpoint):
    assert_error(endpoint.load("a", f"{endpoint.contract.models}/none"), 400, "where no folder is; accepted: a folder")


@pytest.mark.parametrize("path", ["/models//a", "/models/a//invoke", "/models/", "/ping/"])
def test_paths_are_not_redirected(endpoint, path):
    """The address would be what the Host header says."""
    assert_error(endpoint.client.get(path), 404, "no such path")


def test_bodies_that_are_not_accepted(endpoint):
    for body, sentence in {
        b"": "not valid JSON",
        b"\xff": "not valid JSON",
        b"[]": 'is []; accepted: {"model_name": "NAME", "url": ',
        b'{"model_name": "a"}': "accepted: {",
        b" " * 9000: "has 9,000 bytes; accepted: up to 8,192",
    }.items():
        assert_error(endpoint.client.post("/models", data=body), 400, sentence)
    assert_error(endpoint.client.put("/models"), 405, "/models does not take PUT")
    assert_error(endpoint.client.post("/invocations", data=JPEG), 404, "accepted: GET /ping, GET or POST /models")


def test_a_damaged_artifact_is_a_sentence(endpoint):
    weights = endpoint.contract.models / "a/model/model.safetensors"
    weights.unlink()  # the others have the same file
    weights.write_bytes(b"")
    assert_error(endpoint.load("a"), 400, "the model a cannot be loaded: ")
    assert_error(endpoint.invoke("a"), 404, "the model 'a' is not loaded")


def test_models_that_are_not_back_yet(endpoint):
    endpoint.journal.write(lambda: {name: Planned(endpoint.url(name), 0) for name in "ab"})
    endpoint.restart()
    assert endpoint.client.get("/ping").status_code == 200
    answer = endpoint.invoke("a")
    assert_error(answer, 503, "the model a is being loaded; GET /models lists it once it is there")
    assert answer.headers["Retry-After"]
    assert_error(endpoint.load("a"), 409, "the model a is loaded already, or is being loaded")
    assert_error(endpoint.invoke("c"), 404, "the model 'c' is not loaded")
    assert endpoint.client.delete("/models/b").status_code == 200
    endpoint.models.load_again()
    assert endpoint.invoke("a").status_code == 200
    assert list(endpoint.journal.read()) == ["a"]


def test_before_it_is_ready(endpoint):
    endpoint.is_ready.clear()
    assert endpoint.client.get("/ping").status_code == 503
    assert_error(endpoint.load("a"), 503, "the server is still starting")
