"""What the real server says of an image that is unlike those of the validation."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app_client import base64_of
from chromium import BROWSER, Chromium
from classifier import artifact, images, network
from classifier.layers import FEATURES
from classifier.training.artifact_files import save_artifact
from classifier.training.export_onnx import add_onnx
from classifier.unlikeness import Measure, Unlikeness
from helpers import Server, encode, photo, serve
from local import Model
from networks import stored_weights
from serving_helpers import invoke

ONE, OTHER = encode(photo(300, 200)), encode(photo(300, 200, seed=1))


@pytest.fixture(scope="module")
def server(artifact_folder: Path, module_path: Path) -> Iterator[Server]:
    """A server of a model that was validated on nothing but ONE."""
    folder, about = module_path / "model", artifact.read(artifact_folder)
    one, other = roots_of(artifact_folder, ONE), roots_of(artifact_folder, OTHER)
    halfway = float(np.linalg.norm(other - one)) / 2
    measure = Measure(one, np.eye(FEATURES, dtype=np.float32)).with_limit(halfway)
    save_artifact(folder, replace(about, unlikeness=Unlikeness(0.95, 100)), stored_weights(artifact_folder), measure)
    add_onnx(folder)
    with serve(module_path, module_path / "log") as running:
        running.wait_for_ping(200)
        yield running


def roots_of(folder: Path, data: bytes) -> np.ndarray:
    about = artifact.read(folder)
    pixels = images.evaluation_pixels(data, about.image_size)
    model = network.load(about, artifact.read_weights(folder, about))
    with torch.inference_mode():
        return model.features(network.Normalize()(torch.from_numpy(pixels[None])))[0].sqrt().numpy()


def test_one_image_and_the_other(server):
    assert json.loads(invoke(server, ONE).body)["known"] is True
    answer = json.loads(invoke(server, OTHER).body)
    assert answer["known"] is False
    assert len(answer["predictions"]) == 5


def test_several_images(server):
    body = json.dumps({"images": base64_of(ONE, b"\xff", OTHER), "k": 1})
    headers = {"Content-Type": "application/json"}
    results = json.loads(server.request("POST", "/invocations", body, headers).body)["results"]
    assert [result.get("known") for result in results] == [True, None, False]
    text = server.request("POST", "/invocations", body, headers | {"Accept": "text/csv"}).body.decode()
    assert [row["known"] for row in csv.DictReader(io.StringIO(text))] == ["true", "", "false"]


def test_from_python(server, artifact_folder, module_path):
    model = Model(module_path / "model")
    assert (model.knows(ONE), model.knows(OTHER)) == (True, False)
    assert Model(artifact_folder).knows(ONE) is None


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_the_page_says_so(server, tmp_path):
    with Chromium(tmp_path / "profile", (800, 700)) as page:
        page.open(f"http://127.0.0.1:{server.port}/")
        for data, shown in ((OTHER, True), (ONE, False)):
            (tmp_path / "photo.jpg").write_bytes(data)
            page.choose_file("#file", tmp_path / "photo.jpg")
            page.wait_for("document.querySelector('#said').textContent.startsWith('Answered')")
            assert page.evaluate("!document.querySelector('#unknown').hidden") is shown
            page.evaluate("document.querySelector('#said').textContent = ''")
