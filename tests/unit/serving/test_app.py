import csv
import io
import json
import logging
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from app_client import JPEG, NOT_AN_IMAGE, assert_error, base64_of, client_of, post, post_json
from classifier import artifact
from classifier.serving import accesslog
from classifier.serving.accesslog import Trace
from classifier.serving.app import DEADLINE_S, create_app
from classifier.serving.batcher import Expired
from classifier.serving.model import Model, model_of
from classifier.serving.predictor import Predictor, load_predictor
from classifier.serving.query import ATTRIBUTES
from classifier.serving.share import Share
from conftest import CLASSES


@pytest.fixture(scope="module")
def predictor(artifact_folder) -> Predictor:
    return load_predictor(artifact_folder, artifact.read(artifact_folder))


@pytest.fixture(scope="module")
def model(predictor) -> Model:
    return model_of(predictor)


@pytest.fixture
def client(model) -> FlaskClient:
    return client_of(model)


@pytest.fixture
def loading() -> FlaskClient:
    return create_app(Future(), max_payload_mb=6, share=Share(2)).test_client()


# /ping and /execution-parameters


def test_ping_while_the_model_loads(loading):
    response = loading.get("/ping")
    assert (response.status_code, response.data) == (503, b"")


def test_ping_once_it_answers(client):
    response = client.get("/ping")
    assert (response.status_code, response.data) == (200, b"")


def test_invocations_while_the_model_loads(loading):
    response = post(loading, JPEG)
    assert_error(response, 503, "the model is still loading")
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(("payload_mb", "cores", "transforms"), [(6, 2, 4), (25, 8, 4), (6, 96, 16), (100, 8, 1)])
def test_execution_parameters(payload_mb, cores, transforms):
    response = create_app(Future(), payload_mb, Share(cores)).test_client().get("/execution-parameters")
    assert response.json == {
        "MaxConcurrentTransforms": transforms,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": payload_mb,
    }


# Answers


def test_csv(client):
    response = post_json(client, {"images": base64_of(JPEG, b"hello"), "k": 7}, Accept="text/csv")
    assert response.content_type == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert {row["class"] for row in rows[:7]} == set(CLASSES)
    assert rows[7] == {"image": "1", "class": "", "index": "", "probability": "", "error": NOT_AN_IMAGE, "known": ""}


def test_json_lines(client):
    response = post_json(client, {"images": base64_of(JPEG, b"hello")}, Accept="application/jsonlines")
    assert response.content_type == "application/jsonlines"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [list(line) for line in lines] == [["predictions"], ["error"]]


def test_json_lines_of_one_image(client):
    response = post(client, JPEG, Accept="application/jsonlines")
    assert json.loads(response.text).keys() == {"predictions"}


def test_class_names_are_utf_8(client):
    assert "狗".encode() in post(client, JPEG, **{ATTRIBUTES: "k=7"}).data


def test_not_acceptable(client):
    assert_error(post(client, JPEG, Accept="text/html"), 406, "no answer in the type 'text/html'; accepted:")


@pytest.mark.parametrize("accept", ["*", "text/html, image/gif, *; q=.2, */*; q=.2", "*/*", "application/*"])
def test_any_type_is_acceptable(client, accept):
    assert post(client, JPEG, Accept=accept).mimetype == "application/json"


# The page


def test_the_page_says_what_the_model_is(client):
    response = client.get("/")
    assert response.mimetype == "text/html"
    assert "resnet18 on cpu in " in response.text
    assert "7 classes (mops, Käse, alt, a &#34;b&#34;, 狗, e, ...), images of 32 px" in response.text


def test_the_page_needs_no_network(client):
    assert not re.search(r"(src|href|url)\s*[=(]\s*.?(https?:)?//", client.get("/").text)


@pytest.mark.parametrize("is_loading", [False, True])
def test_the_page_can_run_nothing_but_its_own_script(client, loading, is_loading):
    headers, text = (response := (loading if is_loading else client).get("/")).headers, response.text
    (nonce,) = set(re.findall("nonce-([^']+)'", headers["Content-Security-Policy"]))
    assert len(re.findall("<(?:style|script)", text)) == text.count(f'nonce="{nonce}"') == 2 - is_loading
    assert not re.search(r" (?:style|on[a-z]+)=", text)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
    assert nonce not in client.get("/").headers["Content-Security-Policy"]


def test_the_page_while_the_model_loads(loading):
    response = loading.get("/")
    assert "still loading" in response.text
    assert "<script" not in response.text


# Other errors


def test_too_large(client):
    assert post(client, JPEG + b"\0" * ((1 << 20) - len(JPEG))).status_code == 200
    assert_error(post(client, JPEG + b"\0" * (1 << 20)), 413, "the request body is larger than 1 MB")


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 413)])
def test_too_large_without_a_stated_length(client, excess, status):
    body = JPEG + b"\0" * ((1 << 20) - len(JPEG) + excess)
    chunked = {"wsgi.input_terminated": True, "wsgi.input": io.BytesIO(body)}
    response = client.post("/invocations", content_type="image/jpeg", environ_overrides=chunked)
    assert response.status_code == status, response.text


def test_a_body_that_breaks_off(client):
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise EOFError("bad chunk")

    broken = {"wsgi.input_terminated": True, "wsgi.input": Broken()}
    response = client.post("/invocations", content_type="image/jpeg", environ_overrides=broken)
    assert_error(response, 400, "the request body could not be read: bad chunk")


def test_no_such_path(client):
    assert_error(client.get("/x"), 404, "no such path: /x; accepted: GET /ping, POST /invocations")
    assert_error(client.get("/ping/"), 404, "no such path: /ping/")
    assert_error(client.get("/invocations//x?y=%00"), 404, "no such path")
    assert_error(client.get("/ping/"), 404, "no such path")


def test_no_such_method(client):
    response = client.get("/invocations")
    assert_error(response, 405, "/invocations does not take GET; accepted: ")
    assert "POST" in response.headers["Allow"]
    assert_error(client.post("/ping"), 405, "/ping does not take POST; accepted: ")


def failing(model: Model, error: Exception) -> FlaskClient:
    future: Future = Future()
    future.set_exception(error)
    return client_of(model._replace(submit=lambda *_: future))


def test_a_fault_of_ours(model, caplog):
    with caplog.at_level(logging.ERROR):
        response = post(failing(model, RuntimeError("a secret")), JPEG)
    assert_error(response, 500, "the server failed on this request")
    assert "secret" not in response.text
    assert "POST /invocations failed" in caplog.text
    assert "Traceback" in caplog.text
    assert "RuntimeError: a secret" in caplog.text


def test_a_request_whose_turn_comes_too_late(model):
    response = post(failing(model, Expired()), JPEG)
    assert_error(response, 503, "too many requests to answer this one in time")
    assert int(response.headers["Retry-After"]) >= 1


def test_a_request_that_is_too_old_is_not_even_decoded(client, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("decoded"))
    late = Trace(start=time.monotonic() - DEADLINE_S)
    with ThreadPoolExecutor(1, initializer=accesslog.current.set, initargs=(late,)) as pool:
        assert_error(pool.submit(post, client, JPEG).result(), 503, "too many requests to answer this one in time")


@pytest.mark.parametrize("header", ["X-Request-Id", "X-Amzn-RequestId"])
def test_the_request_id_is_the_callers(client, header):
    assert post(client, JPEG, **{header: "c000b4f9-df62"}).headers["X-Request-Id"] == "c000b4f9-df62"


@pytest.mark.parametrize("value", ["", "a b", "x" * 200])
def test_a_request_id_that_cannot_be_one_is_replaced(client, value):
    found = [post(client, JPEG, **{"X-Request-Id": value}).headers["X-Request-Id"] for _ in range(2)]
    assert len({value, *found}) == 3


def test_unknown_headers_do_no_harm(client):
    assert post(client, JPEG, **{"X-Amzn-Something": "1", "X-Forwarded-For": "::", "Cookie": "é"}).status_code == 200


def test_the_model_that_answers_is_named_on_request(client, predictor):
    named = post(client, JPEG, **{ATTRIBUTES: "model_sha256=true"}).json
    about = predictor.artifact
    names = {"model_sha256": about.sha256["model.safetensors"], "answers_key": about.answers_key}
    assert named == post(client, JPEG).json | names
    sentence = f"model_sha256 in {ATTRIBUTES} is 'yes'; accepted: true, false"
    assert_error(post(client, JPEG, **{ATTRIBUTES: "model_sha256=yes"}), 400, sentence)
