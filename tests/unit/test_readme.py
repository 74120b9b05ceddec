"""The README's tables against the code."""

import json
import re
from concurrent.futures import Future
from pathlib import Path

import pytest

from classifier import artifact, quantized
from classifier.contract import Contract
from classifier.device import PRECISIONS
from classifier.errors import UserError
from classifier.serving import answers, inputs
from classifier.serving.app import create_app
from classifier.serving.predictor import Predictor
from classifier.serving.server import model_of
from classifier.training import hyperparameters
from classifier.training.metrics import METRICS
from helpers import encode, photo

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def table(*head):
    """The rows of the README's table with these columns."""
    start = README.index(f"| {' | '.join(head)} |\n")
    lines = README[start:].split("\n\n")[0].strip().splitlines()[2:]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


@pytest.fixture(scope="module")
def client(artifact_folder):
    ready = Future()
    ready.set_result(model_of(Predictor(artifact_folder, artifact.read(artifact_folder))))
    return create_app(ready, max_payload_mb=1, cores=1).test_client()


def test_hyperparameters():
    assert table("name", "default", "accepted", "meaning") == hyperparameters.rows()


def test_metrics():
    expected = [(m.name, f"{m.objective.lower()} it" if m.objective else "") for m in METRICS.values()]
    assert table("metric", "a tuning job can") == expected


def test_search_space():
    expected = [(name, str(searched)) for name, searched in hyperparameters.SEARCH_SPACE.items()]
    assert table("hyperparameter", "searched") == expected


def test_launch_scripts():
    scripts = {row[0] for row in table("script", "does")}
    launch = Path(__file__).parents[2] / "launch"
    assert scripts == {
        path.name for path in launch.glob("*.py") if "from launch.settings import parser" in path.read_text()
    }
    commands = re.findall(r"^\.venv/bin/python launch/(\w+\.py)", README, re.MULTILINE)
    assert set(commands) <= scripts


def test_rules():
    assert {row[0] for row in table("rule", "finds")} == set(hyperparameters.RULES)


def test_requests(client):
    rows = [row[0].split() for row in table("request", "answer")]
    routes = {(method, rule.rule) for rule in client.application.url_map.iter_rules() for method in rule.methods}
    assert {tuple(row) for row in rows} == {route for route in routes if route[0] in ("GET", "POST")}


def test_content_types():
    (images, body), (json_type, example) = table("Content-Type", "body")
    assert images.split(", ") == list(inputs.IMAGE_TYPES)
    assert json_type == inputs.JSON_TYPE
    assert f"1 to {inputs.MAX_IMAGES} images" in example
    assert set(json.loads(example[: example.index("}") + 1].replace(", ...", ""))) == set(inputs.KEYS) | {"k"}
    assert f"The {inputs.DEFAULT_K} most probable classes" in README


def test_answers():
    rows = dict(table("Accept", "answer"))
    assert list(rows) == list(answers.WRITERS)
    assert rows["text/csv"].startswith(", ".join(answers.CSV_HEADER))


JPEG = encode(photo(40, 40))
REFUSED = {
    "400": ("POST", "/invocations", b"no image", {"Content-Type": "image/jpeg"}),
    "404": ("GET", "/x", None, {}),
    "405": ("GET", "/invocations", None, {}),
    "406": ("POST", "/invocations", JPEG, {"Content-Type": "image/jpeg", "Accept": "text/html"}),
    "413": ("POST", "/invocations", bytes(2 << 20), {"Content-Type": "image/jpeg"}),
    "415": ("POST", "/invocations", JPEG, {"Content-Type": "text/plain"}),
}


def test_errors(client):
    rows = dict(table("status", "when"))
    assert set(rows) == set(REFUSED) | {"408", "503"}  # functional tests have a client that is so slow
    for status, (method, path, data, headers) in REFUSED.items():
        response = client.open(path, method=method, data=data, headers=headers)
        assert response.status_code == int(status)
        assert list(response.json) == ["error"]
    loading = create_app(Future(), max_payload_mb=1, cores=1).test_client()
    response = loading.post("/invocations", data=JPEG, headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 503
    assert list(response.json) == ["error"]


def test_variables():
    rows = {name: accepted for name, accepted, _ in table("variable", "accepted", "meaning")}
    assert rows["SERVE_PRECISION"] == ", ".join((*PRECISIONS, quantized.PRECISION))
    for name, accepted in rows.items():
        with pytest.raises(UserError, match=f"{name} is 'x'; accepted: {accepted}$"):
            _ = Contract(environ={name: "x"}).precision and Contract(environ={name: "x"}).access_log


def test_every_make_target_that_is_named_is_there():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert named
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_every_file_that_is_linked_is_there():
    links = re.findall(r"\]\((?!https:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (Path(__file__).parents[2] / link).exists()] == []
