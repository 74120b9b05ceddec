"""The page's examples against what the server answers to the same requests."""

import csv
import json

import pytest

from app_client import JPEG, base64_of, client_of, post, post_json
from classifier import artifact
from classifier.serving.examples import TEXT, examples
from classifier.serving.model import model_of
from classifier.serving.predictor import load_predictor
from conftest import CLASSES


@pytest.fixture(scope="module")
def client(artifact_folder):
    return client_of(model_of(load_predictor(artifact_folder, artifact.read(artifact_folder))))


def keys(value):
    """Return the names within a JSON value; but for "known", which this model does not measure."""
    if isinstance(value, dict):
        return {name: keys(item) for name, item in value.items() if name != "known"}
    return [keys(item) for item in value] if isinstance(value, list) else type(value)


def test_they_have_what_the_server_answers(client):
    one, several, table, refused = (example.answer for example in examples(CLASSES))
    assert keys(json.loads(one)) == keys(post(client, JPEG, **{"X-Amzn-SageMaker-Custom-Attributes": "k=2"}).json)
    answered = post_json(client, {"images": base64_of(JPEG, JPEG), "k": 1}).json
    assert keys(json.loads(several)) == keys(answered)
    columns = list(csv.reader(post(client, JPEG, Accept="text/csv").text.splitlines()))[0]
    assert next(csv.reader(table.splitlines())) == columns
    assert json.loads(refused) == post(client, TEXT.encode(), "application/x-www-form-urlencoded").json


@pytest.mark.parametrize("classes", [("a", "b"), CLASSES])
def test_they_name_the_models_classes(classes):
    one = json.loads(examples(classes)[0].answer)["predictions"]
    assert [prediction["class"] for prediction in one] == list(classes[:2])
    assert one[0]["probability"] > one[1]["probability"]
    assert sum(prediction["probability"] for prediction in one) <= 1


def test_the_page_has_them(client):
    page = client.get("/").text
    for example in examples(CLASSES):
        assert example.what in page
    assert "&#34;class&#34;: &#34;Käse, alt&#34;" in page
