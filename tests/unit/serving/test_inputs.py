import base64
import io
import json

import pytest
from flask.testing import FlaskClient

from app_client import (
    JPEG,
    NOT_AN_IMAGE,
    PNG,
    WEBP,
    assert_error,
    base64_of,
    client_of,
    expected_indexes,
    post,
    post_json,
)
from classifier import artifact, images
from classifier.serving.inputs import FORM, MAX_IMAGES
from classifier.serving.model import model_of
from classifier.serving.predictor import Predictor, load_predictor
from conftest import CLASSES, IMAGE_SIZE
from helpers import encode, photo


@pytest.fixture(scope="module")
def predictor(artifact_folder) -> Predictor:
    return load_predictor(artifact_folder, artifact.read(artifact_folder))


@pytest.fixture(scope="module")
def client(predictor) -> FlaskClient:
    return client_of(model_of(predictor))


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


NO_IMAGES = {
    "/9j/4AA!": "'/9j/4AA!' is not valid base64: remove or replace '!'",
    "/9j/4AAü": "is not valid base64: remove or replace '\\x",
    "/9j/x": "'/9j/x' is not valid base64: characters are missing at its end",
    "data:image/png,iVBORw0KGgo": "is not valid base64: its data: URL does not say ;base64",
    base64_of(encode(photo(8, 8), "GIF"))[0]: f"{NOT_AN_IMAGE}; it is a GIF",
    base64_of(encode(photo(8, 8), "BMP"))[0]: f"{NOT_AN_IMAGE}; it is a BMP",
}
NO_BASE64 = {
    "https://example.com/a.jpg": "is not valid base64: it is where a file is; send what is in the file, in base64",
    "s3://bucket/a.jpg": "is not valid base64: it is where a file is",
    "hello": "'hello' is not valid base64: characters are missing at its end",
    "\ud800": "is not valid base64: remove or replace '\\ud800'",
    "": f"{NOT_AN_IMAGE}; it is an empty file",
}


@pytest.mark.parametrize(("text", "sentence"), (NO_IMAGES | NO_BASE64).items())
def test_one_base64_string_is_refused_for_the_reason_that_a_list_gives(client, text, sentence):
    listed = post_json(client, {"images": [text]}).json["error"].removeprefix("images[0]: ")
    assert sentence in listed
    alone = post_json(client, text)
    assert alone.status_code == 400
    assert alone.json["error"].removeprefix("the request body: ") == listed
    line = json.loads(post(client, b"\n" + json.dumps(text).encode(), "application/jsonlines").text)
    assert (line.get("error") or line["results"][0]["error"]).removeprefix("line 2: ") == listed


@pytest.mark.parametrize(("text", "sentence"), NO_IMAGES.items())
@pytest.mark.parametrize("content_type", ["text/plain", "image/png", None])
def test_base64_without_json_is_refused_for_its_reason(client, text, sentence, content_type):
    assert_error(post(client, text.encode(), content_type), 400, sentence)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", None])
def test_json_without_its_content_type(client, content_type):
    value = {"images": base64_of(JPEG), "k": 1}
    assert post(client, json.dumps(value, indent=1).encode(), content_type).json == post_json(client, value).json


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "image/png", None])
def test_a_json_string_without_its_content_type(client, content_type):
    escaped = json.dumps(base64_of(JPEG)[0]).replace("/", r"\/")  # as PHP writes it
    assert r"\/" in escaped
    assert post(client, escaped.encode(), content_type).json == post(client, JPEG).json
    sentence = "is not valid base64: it is where a file is"
    assert_error(post(client, b'"s3://bucket/a.jpg"', content_type), 400, sentence)


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
