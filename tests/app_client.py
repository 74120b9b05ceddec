"""The application of one model, asked without a server."""

import base64
import json
from concurrent.futures import Future

import numpy as np
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from classifier import images
from classifier.serving.app import create_app
from classifier.serving.model import Model
from classifier.serving.predictor import Predictor
from classifier.serving.share import Share
from conftest import IMAGE_SIZE
from helpers import encode, photo

JPEG, PNG, WEBP = (encode(photo(60, 50, seed), name) for seed, name in enumerate(("JPEG", "PNG", "WEBP")))
NOT_AN_IMAGE = "not a JPEG, PNG or WebP image"


def client_of(model: Model) -> FlaskClient:
    loaded: Future = Future()
    loaded.set_result(model)
    return create_app(loaded, max_payload_mb=1, share=Share(2)).test_client()


def post(client: FlaskClient, body: bytes, content_type: str | None = "image/jpeg", **headers: str) -> TestResponse:
    return client.post("/invocations", data=body, content_type=content_type, headers=headers)


def post_json(client: FlaskClient, value: object, **headers: str) -> TestResponse:
    return post(client, json.dumps(value).encode(), "application/json", **headers)


def base64_of(*images: bytes) -> list[str]:
    return [base64.b64encode(image).decode() for image in images]


def assert_error(response: TestResponse, status: int, sentence: str) -> None:
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    assert response.json.keys() == {"error"}
    assert sentence in response.json["error"]
    assert "Traceback" not in response.text


def expected_indexes(predictor: Predictor, data: bytes, k: int = 5) -> list[int]:
    row = predictor.in_lane(1)(images.evaluation_pixels(data, IMAGE_SIZE)[None])[0]
    return list(np.argsort(-row)[:k])
