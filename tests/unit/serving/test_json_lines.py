import csv
import io
import json

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app_client import JPEG, NOT_AN_IMAGE, PNG, WEBP, assert_error, base64_of, client_of, post, post_json
from classifier import artifact
from classifier.serving.inputs import MAX_IMAGES
from classifier.serving.model import model_of
from classifier.serving.predictor import load_predictor
from helpers import encode, photo


@pytest.fixture(scope="module")
def client(artifact_folder) -> FlaskClient:
    return client_of(model_of(load_predictor(artifact_folder, artifact.read(artifact_folder))))


def lines_of(*values: object) -> bytes:
    return b"".join(value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n" for value in values)


def post_lines(client: FlaskClient, body: bytes, **headers: str) -> TestResponse:
    return post(client, body, "application/jsonlines", **headers)


def answered_lines(response: TestResponse) -> list[dict]:
    assert response.status_code == 200, response.text
    assert response.content_type == "application/jsonlines"
    assert response.text.endswith("\n")
    return [json.loads(line) for line in response.text[:-1].split("\n")]


@pytest.mark.parametrize("accept", ["", "*/*", "application/jsonlines", "application/json"])
def test_each_line_is_answered_as_alone(client, accept):
    one, two = {"images": base64_of(JPEG), "k": 1}, {"images": base64_of(PNG, b"hello", WEBP)}
    found = answered_lines(post_lines(client, lines_of(one, two), **({"Accept": accept} if accept else {})))
    assert found == [post_json(client, value).json for value in (one, two)]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n \r\n"])
def test_a_batch_transform_sends_one_line(client, ending):
    body = lines_of({"images": base64_of(JPEG)}).strip() + ending
    assert answered_lines(post_lines(client, body)) == [post_json(client, {"images": base64_of(JPEG)}).json]


@pytest.mark.parametrize("name", ["application/x-ndjson", "application/jsonl", "application/x-jsonlines"])
def test_other_names_of_json_lines(client, name):
    line = {"images": base64_of(JPEG)}
    for headers in ({}, {"Accept": name}):
        response = post(client, lines_of(line, base64_of(PNG)[0]), name, **headers)
        expected = [post_json(client, line).json, post(client, PNG).json]
        assert [json.loads(line) for line in response.text.splitlines()] == expected
        assert response.content_type == headers.get("Accept", "application/jsonlines")


def test_a_bad_line_does_not_fail_the_others(client):
    good = {"images": base64_of(JPEG), "k": 2}
    bad = [b"{\n", b"\xff\xfe\n", {"images": []}, {"image": "x"}, {"images": base64_of(JPEG), "k": 0}, b'"x"\n']
    found = answered_lines(post_lines(client, lines_of(good, *bad, good)))
    expected = post_json(client, good).json
    assert (found[0], found[-1]) == (expected, expected)
    assert [list(line) for line in found[1:-1]] == [["error"]] * len(bad)
    assert "line 2 is not valid JSON: " in found[1]["error"]
    assert "unknown key 'image'" in found[4]["error"]


@pytest.mark.parametrize(
    ("before", "number"), [(b"", 2), (b"\n\n", 4), (b"\r\n", 3), (b" \n\t\n", 4)], ids=["none", "two", "crlf", "spaces"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_error_has_the_number_of_the_line_in_the_body(client, before, number, encoding):
    body = lines_of({"images": base64_of(JPEG)}) + before + b"  {bad\n\n" + lines_of([1])
    _, bad, last = answered_lines(post_lines(client, body.decode().encode(encoding)))
    sentence = "is not valid JSON: Expecting property name enclosed in double quotes: column 4"
    assert bad == {"error": f"line {number} {sentence}"}
    assert last["error"].startswith(f"line {number + 2} is an array; ")


def test_a_line_without_a_readable_image_keeps_its_place(client):
    found = answered_lines(post_lines(client, lines_of({"images": base64_of(b"hello")})))
    assert found == [{"results": [{"error": NOT_AN_IMAGE}]}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_lines_and_json_in_other_encodings(client, encoding):
    body = lines_of({"images": base64_of(JPEG)}, {"images": base64_of(PNG)}).decode()
    assert [list(line) for line in answered_lines(post_lines(client, body.encode(encoding)))] == [["results"]] * 2
    assert post(client, body.split("\n")[0].encode(encoding), "application/json").status_code == 200


def test_an_item_that_is_no_base64_does_not_fail_its_line(client):
    (line,) = answered_lines(post_lines(client, lines_of({"images": [*base64_of(JPEG), "z!"]})))
    assert [list(result) for result in line["results"]] == [["predictions"], ["error"]]


def test_lines_as_csv(client):
    body = lines_of({"images": base64_of(JPEG, PNG), "k": 1}, b"{\n", {"images": base64_of(WEBP), "k": 1})
    response = post_lines(client, body, Accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["image"] for row in rows] == ["0", "1", "2", "3"]
    assert "line 2 is not valid JSON" in rows[2]["error"]


def test_the_limits_hold_for_all_lines_together(client, monkeypatch):
    small = base64_of(*[encode(photo(8, 8))] * (MAX_IMAGES // 2))
    body = lines_of({"images": small}, {"images": small})
    assert len(answered_lines(post_lines(client, body))) == 2
    sentence = f"too many images or lines; accepted: 1 to {MAX_IMAGES} images in all lines together"
    assert_error(post_lines(client, body + lines_of({"images": small[:1]})), 400, sentence)
    assert_error(post_lines(client, b"x\n" * (MAX_IMAGES + 1)), 400, sentence)
    assert_error(post_lines(client, b"\n \n"), 400, "the request body has no line; accepted: 1 to")
    assert_error(post_lines(client, b""), 400, "the request body is empty")
    monkeypatch.setattr("classifier.serving.decoding.MOST_PIXELS", 100 * 100)
    plain = {"images": base64_of(encode(photo(99, 99), "PNG"))}
    first, second = answered_lines(post_lines(client, lines_of(plain, plain)))
    assert list(first["results"][0]) == ["predictions"]
    assert (
        "the image counts, with the images before it, as 19,602 pixels to decode; accepted"
        in second["results"][0]["error"]
    )
