import json

import pytest
from flask.testing import FlaskClient

from app_client import JPEG, assert_error, base64_of, client_of, post, post_json
from classifier import artifact
from classifier.serving.model import model_of
from classifier.serving.predictor import load_predictor
from classifier.serving.query import ATTRIBUTES


@pytest.fixture(scope="module")
def client(artifact_folder) -> FlaskClient:
    return client_of(model_of(load_predictor(artifact_folder, artifact.read(artifact_folder))))


def test_k_is_five_by_default(client):
    assert len(post(client, JPEG).json["predictions"]) == 5


@pytest.mark.parametrize(
    ("attributes", "k"),
    [("k=3", 3), (" k = 1 ", 1), ("trace=7;k=2", 2), ("k=2,a=b", 2), ("k=100", 7), ("k=" + "9" * 500, 7)]
    + [("c000b4f9-df62-4c85-a0bf-7c525f9104a4", 5), ("", 5), ("pink=3", 5)],
)
def test_k_of_the_header(client, attributes, k):
    assert len(post(client, JPEG, **{ATTRIBUTES: attributes}).json["predictions"]) == k


@pytest.mark.parametrize("value", ["0", "-1", "3.5", "many", "", "1e3", "9" * 2000])
def test_bad_k_of_the_header(client, value):
    sentence = "k in X-Amzn-SageMaker-Custom-Attributes is "
    assert_error(post(client, JPEG, **{ATTRIBUTES: f"k={value}"}), 400, sentence)


@pytest.mark.parametrize("attributes", ["k=3,k=4", "explain=true;explain=false", "model_sha256=true;model_sha256="])
def test_attributes_that_contradict_themselves(client, attributes):
    assert_error(post(client, JPEG, **{ATTRIBUTES: attributes}), 400, "; accepted: one")


@pytest.mark.parametrize(("k", "found"), [(1, 1), (7, 7), (10**30, 7)])
def test_k_of_the_body(client, k, found):
    response = post_json(client, {"images": base64_of(JPEG), "k": k}, **{ATTRIBUTES: "k=2"})
    assert len(response.json["results"][0]["predictions"]) == found


@pytest.mark.parametrize("k", [0, -1, 2.0, "3", None, True, [3]])
def test_bad_k_of_the_body(client, k):
    response = post_json(client, {"images": base64_of(JPEG), "k": k})
    shown = repr(k) if isinstance(k, list | str) else json.dumps(k)
    assert_error(response, 400, f"k is {shown}; accepted: a whole number from 1")


@pytest.mark.parametrize(("k", "shown"), [("NaN", "NaN"), ("1e999", "Infinity"), ('{"a": true}', "{'a': true}")])
def test_a_bad_k_in_the_words_of_the_request(client, k, shown):
    body = json.dumps({"images": base64_of(JPEG)})[:-1] + f', "k": {k}}}'
    response = client.post("/invocations", data=body, content_type="application/json")
    assert_error(response, 400, f"k is {shown}; accepted: a whole number from 1")


@pytest.mark.parametrize("content_type", ["application/json", "application/jsonlines"])
def test_a_key_that_is_there_twice_is_named(client, content_type):
    body = json.dumps({"images": base64_of(JPEG)})[:-1] + ', "images": [""]}'
    response = client.post("/invocations", data=body, content_type=content_type)
    assert "is not valid JSON: it has 'images' more than once" in response.text
