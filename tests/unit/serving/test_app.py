import base64
import csv
import io
import json
import logging
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from flask.testing import FlaskClient

from app_client import JPEG, NOT_AN_IMAGE, PNG, WEBP, assert_error, base64_of, client_of, post, post_json
from classifier import artifact, images
from classifier.serving import accesslog
from classifier.serving.accesslog import Trace
from classifier.serving.app import DEADLINE_S, create_app
from classifier.serving.batcher import Expired
from classifier.serving.inputs import FORM, MAX_IMAGES
from classifier.serving.model import Model, model_of
from classifier.serving.predictor import Predictor, load_predictor
from classifier.serving.query import ATTRIBUTES
from classifier.serving.share import Share
from conftest import CLASSES, IMAGE_SIZE
from helpers import encode, photo


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


def expected_indexes(predictor: Predictor, data: bytes, k: int = 5) -> list[int]:
    row = predictor.in_lane(1)(images.evaluation_pixels(data, IMAGE_SIZE)[None])[0]
    return list(np.argsort(-row)[:k])


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


# One image


@pytest.mark.parametrize("data", [JPEG, PNG, WEBP])
@pytest.mark.parametrize(
    "content_type",
    [
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/jpg",
        "image/pjpeg",
        "image/x-png",
        "image/gif",
        "image/*",
        "application/x-image",
        "application/octet-stream",
        "binary/octet-stream",
        "text/plain",
        None,
        "",
        "Image/JPEG; q=1",
    ],
)
def test_the_bytes_decide_what_an_image_is(client, predictor, data, content_type):
    response = post(client, data, content_type)
    assert response.status_code == 200, response.text
    assert response.mimetype == "application/json"
    predictions = response.json["predictions"]
    assert [p["index"] for p in predictions] == expected_indexes(predictor, data)
    assert [p["class"] for p in predictions] == [CLASSES[p["index"]] for p in predictions]
    assert sorted((p["probability"] for p in predictions), reverse=True) == [p["probability"] for p in predictions]


def test_the_one_decoder_decodes(client, predictor, monkeypatch):
    pixels, seen = images.evaluation_pixels(JPEG, IMAGE_SIZE), []
    monkeypatch.setattr(images, "evaluation_pixels", lambda *arguments: seen.append(arguments) or pixels)
    assert post(client, b"\0whatever it is").status_code == 200
    assert [arguments[:2] for arguments in seen] == [(b"\0whatever it is", IMAGE_SIZE)]


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", None])
@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF"])
def test_other_formats(client, content_type, file_format):
    assert_error(post(client, encode(photo(8, 8), file_format), content_type), 400, NOT_AN_IMAGE)


def test_damaged_image(client):
    assert_error(post(client, JPEG[: len(JPEG) // 2] + b"\xff\xd9"), 400, "rows are missing")


def test_empty_body(client):
    assert_error(post(client, b""), 400, "the request body is empty")
    assert_error(post(client, b"", "application/json"), 400, "the request body is empty")


@pytest.mark.parametrize("content_type", ["text/csv", "text/html", "nonsense", "images/jpeg"])
def test_other_content_types(client, content_type):
    response = post(client, JPEG, content_type)
    assert_error(
        response, 415, f"content type '{content_type}' is not accepted; accepted: image/*, application/x-image"
    )


def test_what_curl_sends_without_a_content_type(client):
    assert post(client, JPEG, "application/x-www-form-urlencoded").json == post(client, JPEG).json
    response = client.post("/invocations", data={"image": (io.BytesIO(JPEG), "x.jpg")})
    assert_error(response, 415, "send the file itself: curl --data-binary @picture.jpg ADDRESS/invocations")


def test_a_content_type_is_cut_off(client):
    assert len(post(client, JPEG, "text/" + "x" * 5000).json["error"]) < 400


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "deflate", "br", "zstd", "identity, gzip", "gzip,", "no"])
@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json", "application/jsonlines", None])
def test_content_encodings(client, coding, content_type):
    response = post(client, JPEG, content_type, **{"Content-Encoding": coding})
    assert_error(response, 415, f"Content-Encoding '{coding}' is not accepted; accepted: identity")


@pytest.mark.parametrize("coding", ["", "identity", "Identity", " identity , identity"])
def test_no_content_encoding(client, coding):
    assert post(client, JPEG, **{"Content-Encoding": coding}).status_code == 200


def test_transfer_encodings(client):
    response = post(client, JPEG, **{"Transfer-Encoding": "gzip, chunked"})
    assert_error(response, 415, "Transfer-Encoding 'gzip, chunked' is not accepted; accepted: chunked")


# k


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


# Several images


def test_several_images(client, predictor):
    response = post_json(client, {"images": base64_of(JPEG, PNG, WEBP), "k": 2})
    assert response.status_code == 200
    found = [[p["index"] for p in result["predictions"]] for result in response.json["results"]]
    assert found == [expected_indexes(predictor, data, 2) for data in (JPEG, PNG, WEBP)]


def test_one_image_in_json_has_the_form_of_several(client):
    assert len(post_json(client, {"images": base64_of(JPEG)}).json["results"]) == 1


def test_an_unreadable_image_does_not_fail_the_others(client, predictor):
    response = post_json(client, {"images": base64_of(b"hello", JPEG, PNG[:-30], b"", WEBP), "k": 1})
    assert response.status_code == 200
    results = response.json["results"]
    assert [list(result) for result in results] == [["error"], ["predictions"], ["error"], ["error"], ["predictions"]]
    assert results[0]["error"] == NOT_AN_IMAGE
    assert results[1]["predictions"][0]["index"] == expected_indexes(predictor, JPEG)[0]
    assert results[4]["predictions"][0]["index"] == expected_indexes(predictor, WEBP)[0]


@pytest.mark.parametrize("item", ["z!", "zz", "", None, 3, [0.5], {"b64": "/9j/"}, "ü", "/9j/x"])
def test_an_item_that_is_no_image_does_not_fail_the_others(client, item):
    results = post_json(client, {"images": [*base64_of(JPEG), item]}).json["results"]
    assert [list(result) for result in results] == [["predictions"], ["error"]]


def test_no_readable_image(client):
    response = post_json(client, {"images": base64_of(b"hello", JPEG[:99])})
    assert_error(response, 400, f"images[0]: {NOT_AN_IMAGE}; images[1]: damaged image")
    for text in ("", " ", "data:image/png;base64,"):
        assert_error(post_json(client, {"images": [text]}), 400, f"{NOT_AN_IMAGE}; it is an empty file")


def test_the_largest_number_of_images(client):
    small = encode(photo(8, 8))
    assert len(post_json(client, {"images": base64_of(*[small] * MAX_IMAGES)}).json["results"]) == MAX_IMAGES
    response = post_json(client, {"images": base64_of(*[small] * (MAX_IMAGES + 1))})
    assert_error(response, 400, f"images has {MAX_IMAGES + 1} items; accepted: 1 to {MAX_IMAGES}")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "images is missing; accepted: a list of 1 to 32 base64 strings, as in {"),
        ({"images": None}, "images is null; accepted"),
        ({"images": "abc"}, "images is a string; accepted: a list"),
        ({"images": []}, "images has 0 items; accepted: 1 to 32"),
        ({"images": [3]}, "images[0]: it is a number; accepted: a base64 string"),
        (
            {"images": [[[0.1, 0.2]]]},
            "images[0]: it is an array; accepted: a base64 string of the image's file, not its pixels",
        ),
        ({"images": [{"b64": "/9j/"}]}, "images[0]: it is an object; accepted: a base64 string of the image's file"),
        ({"images": ["/9j/", None]}, "images[1]: it is null; accepted: a base64 string"),
        ({"images": ["/9j/", "no base64!"]}, "images[1]: 'no base64!' is not valid base64"),
        ({"images": ["/9j/x"]}, "images[0]: '/9j/x' is not valid base64: characters are missing at its end"),
        ({"images": ["ü" * 99]}, "is not valid base64: remove or replace '\\xfc'"),
        ({"images": [str(JPEG)]}, "is not valid base64: it is what Python prints for bytes; send base64.b64encode("),
        ({"images": ["/9j/"], "top": 3}, "unknown key 'top'; accepted: an object with images, k and explain, as in {"),
        ({"images": ["/9j/"], "\ud800": 3}, "unknown key '\\ud800'"),
        ({"instances": [{"b64": "/9j/"}]}, "unknown key 'instances'; accepted: " + FORM),
        ({"inputs": [[0.1, 0.2]]}, "unknown key 'inputs'; accepted: " + FORM),
        ({"image": "/9j/"}, "unknown key 'image'; accepted: " + FORM),
        ({"images": [0] * 2000}, "the request body has thousands of values; accepted: " + FORM),
        ({"instances": [[[0.5, 0.25, 0.125]] * 999]}, """It begins with '{"instances": [[[0.5"""),
        ([[[0.5, 0.25, 0.125]] * 999], "not pixels. It begins with '[[[0.5"),
        ([], "the request body is an array; accepted: " + FORM),
        ([[[0.1, 0.2]]], "the request body is an array; accepted: " + FORM),
        ("text", "the request body is a string; accepted: " + FORM),
        (None, "the request body is null; accepted: " + FORM),
    ],
)
def test_json_that_is_refused(client, body, sentence):
    assert_error(post_json(client, body), 400, sentence)


@pytest.mark.parametrize("body", [JPEG + b"," * 2000, PNG + b"," * 2000, b"\x1f\x8b\x08" + b"," * 2000])
def test_bytes_sent_as_json_are_no_values(client, body):
    sentence = "an image needs a Content-Type of its own, such as application/x-image"
    assert_error(post(client, body, "application/json"), 400, sentence)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: base64.encodebytes(data).decode(),  # with the line breaks of Python and MIME
        lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"),
        lambda data: f" \t{base64.b64encode(data).decode()}\n",
        lambda data: base64.b64encode(data).decode().rstrip("="),
        lambda data: base64.urlsafe_b64encode(data).decode(),
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=") + "\n",
        lambda data: str(base64.b64encode(data)),
        lambda data: f'"{base64.b64encode(data).decode()}"',
        lambda data: base64.b64encode(base64.encodebytes(data)).decode(),
        lambda data: f"data:image/jpeg;base64,{base64.b64encode(data).decode()}",
        lambda data: f"DATA:image/svg+xml;charset=x;BASE64,{base64.encodebytes(data).decode()}",
    ],
)
def test_base64_as_people_send_it(client, predictor, change):
    for data in (JPEG, JPEG + b"\0", JPEG + b"\0\0"):  # each padding
        response = post_json(client, {"images": [change(data)]})
        assert response.status_code == 200, response.text
        found = [p["index"] for p in response.json["results"][0]["predictions"]]
        assert found == expected_indexes(predictor, data)

    # Without JSON around it, and as a JSON string alone.
    text = change(JPEG)
    for content_type in ("image/png", "text/plain", "application/octet-stream", "application/json", None):
        assert post(client, text.encode(), content_type).json == post(client, JPEG).json
    assert post_json(client, text).json == post(client, JPEG).json


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", None])
def test_json_without_its_content_type(client, content_type):
    value = {"images": base64_of(JPEG), "k": 1}
    assert post(client, json.dumps(value, indent=1).encode(), content_type).json == post_json(client, value).json


@pytest.mark.parametrize("text", ["picture.jpg", "https://example.com/a.jpg", "<html>", str(JPEG), "QUJD"])
def test_text_that_is_no_image_is_named(client, text):
    response = post(client, text.encode(), "text/plain")
    sentence = "not an image; accepted: the bytes of a JPEG, PNG or WebP file, as curl --data-binary @picture.jpg sends"
    assert_error(response, 400, sentence)
    assert response.json["error"].startswith("the request body is the text ")


def test_line_breaks_that_the_json_does_not_escape(client):
    """As a shell puts them there: {"images": ["$(base64 FILE)"]}."""
    body = '{"images": ["' + base64.encodebytes(JPEG).decode() + '"]}'
    assert post(client, body.encode(), "application/json").status_code == 200


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe\xfd", b"[" * 200_000, b'{"k": ' + b"9" * 9999 + b"}", JPEG])
def test_a_body_that_is_not_json(client, body):
    assert_error(post(client, body, "application/json"), 400, "the request body is not valid JSON")


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
    assert named == post(client, JPEG).json | {"model_sha256": predictor.artifact.sha256["model.safetensors"]}
    sentence = f"model_sha256 in {ATTRIBUTES} is 'yes'; accepted: true, false"
    assert_error(post(client, JPEG, **{ATTRIBUTES: "model_sha256=yes"}), 400, sentence)
