import base64
import json

import pytest
from flask.testing import FlaskClient

from app_client import JPEG, assert_error, base64_of, client_of, post, post_json
from classifier import artifact
from classifier.serving.app import MOST_MAPS
from classifier.serving.model import model_of, open_maps
from classifier.serving.predictor import Predictor, load_predictor
from classifier.serving.query import ATTRIBUTES
from conftest import CLASSES


@pytest.fixture(scope="module")
def predictor(artifact_folder) -> Predictor:
    return load_predictor(artifact_folder, artifact.read(artifact_folder))


@pytest.fixture(scope="module")
def explaining(artifact_folder, predictor) -> FlaskClient:
    maps = open_maps(artifact_folder, artifact.read(artifact_folder), "fp32", cores=1)
    return client_of(model_of(predictor, maps=maps))


def test_an_answer_is_explained_on_request(explaining):
    plain = post(explaining, JPEG).json
    in_header = post(explaining, JPEG, **{ATTRIBUTES: "explain=true; k=2"}).json
    in_json = post_json(explaining, {"images": base64_of(JPEG), "explain": True, "k": 2}).json["results"][0]
    assert in_header == in_json
    for prediction, without in zip(in_header["predictions"], plain["predictions"], strict=False):
        assert base64.b64decode(prediction.pop("map")).startswith(b"\x89PNG")
        assert prediction == without
    assert len(in_header["predictions"]) == 2


def test_an_answer_that_is_not_explained_prepares_no_maps(artifact_folder, predictor):
    maps = open_maps(artifact_folder, artifact.read(artifact_folder), "fp32", cores=1)
    client = client_of(model_of(predictor, maps=maps))
    assert post(client, JPEG).status_code == 200
    assert maps._run is None
    assert post(client, JPEG, **{ATTRIBUTES: "explain=true"}).status_code == 200
    assert maps._run is not None


def test_few_classes_are_explained(explaining):
    predictions = post(explaining, JPEG, **{ATTRIBUTES: "explain=true;k=1000"}).json["predictions"]
    assert ["map" in one for one in predictions] == [i < MOST_MAPS for i in range(len(CLASSES))]


def test_lines_are_explained_one_by_one(explaining):
    lines = [json.dumps({"images": base64_of(JPEG), "explain": explain}) for explain in (True, False)]
    response = post(explaining, "\n".join(lines).encode(), "application/jsonlines")
    first, second = (json.loads(line)["results"][0]["predictions"][0] for line in response.text.splitlines())
    assert ("map" in first, "map" in second) == (True, False)


@pytest.mark.parametrize("value", ["yes", "True", "1", ""])
def test_other_words_than_true_and_false(explaining, value):
    sentence = f"explain in {ATTRIBUTES} is '{value}'; accepted: true, false"
    assert_error(post(explaining, JPEG, **{ATTRIBUTES: f"explain={value}"}), 400, sentence)


@pytest.mark.parametrize(("value", "shown"), [(1, "1"), ("true", "'true'"), (None, "null")])
def test_an_explain_that_is_no_boolean(explaining, value, shown):
    response = post_json(explaining, {"images": base64_of(JPEG), "explain": value})
    assert_error(response, 400, f"explain is {shown}; accepted: true, false")


def test_csv_has_no_maps(explaining):
    response = post(explaining, JPEG, Accept="text/csv", **{ATTRIBUTES: "explain=true"})
    assert_error(response, 400, "explain is answered in JSON, not in CSV")


def test_a_model_without_maps(predictor):
    response = post(client_of(model_of(predictor)), JPEG, **{ATTRIBUTES: "explain=true"})
    assert_error(response, 400, "explain is not accepted by a server of many models")
