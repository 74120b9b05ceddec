import csv
import io
import json

import numpy as np
import pytest
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_accept_header

from classifier.serving import answers
from classifier.serving.answers import Answer

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
PUG = {"class": "pug", "index": 1, "probability": 0.75}
ODD = {"class": 'a, "b"\nç', "index": 0, "probability": 0.25}
RESULTS = [{"predictions": [PUG, ODD], "known": True}, {"error": "not a JPEG, PNG or WebP image"}]


def test_top_classes():
    row = np.array([0.1, 0.6, 0.3], np.float32)
    assert answers.top_classes(row, ("a", "b", "c"), 2) == [
        {"class": "b", "index": 1, "probability": 0.6},
        {"class": "c", "index": 2, "probability": 0.3},
    ]


def test_top_classes_are_no_more_than_there_are():
    row = np.array([0.5, 0.5], np.float32)
    assert [p["index"] for p in answers.top_classes(row, ("a", "b"), 10**30)] == [0, 1]


def test_top_classes_are_plain_python():
    first = answers.top_classes(np.array([0.1, 0.9], np.float32), ("a", "b"), 1)[0]
    assert [type(value) for value in first.values()] == [str, int, float]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", CSV),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/csv; charset=utf-8", CSV),
        ("application/jsonlines", LINES),
        ("application/json;q=0.1, text/csv;q=0.9", CSV),
        ("image/png, application/jsonlines;q=0.2", LINES),
        ("text/html, */*;q=0.1", JSON),
    ],
)
def test_choose_type(accept, expected):
    assert answers.choose_type(parse_accept_header(accept, MIMEAccept)) == expected


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "application/json;q=0", "nonsense"])
def test_no_such_type(accept):
    with pytest.raises(NotAcceptable) as error:
        answers.choose_type(parse_accept_header(accept, MIMEAccept))
    assert "accepted: application/json, text/csv, application/jsonlines" in error.value.description


def test_json_of_one_image():
    assert json.loads(answers.format_answer(JSON, Answer(RESULTS[:1], many=False))) == RESULTS[0]


def test_json_of_many_images():
    assert json.loads(answers.format_answer(JSON, Answer(RESULTS, many=True))) == {"results": RESULTS}
    assert json.loads(answers.format_answer(JSON, Answer(RESULTS[:1], many=True))) == {"results": RESULTS[:1]}


def test_names_are_written_as_they_are():
    assert "ç" in answers.format_answer(JSON, Answer(RESULTS, many=True))
    assert "ç" in answers.format_answer(LINES, Answer(RESULTS, many=True))


def test_json_lines():
    lines = answers.format_answer(LINES, Answer(RESULTS, many=True)).splitlines()
    assert [json.loads(line) for line in lines] == RESULTS


def test_csv():
    text = answers.format_answer(CSV, Answer(RESULTS, many=True))
    assert text.startswith("image,class,index,probability,error,known\n0,pug,1,0.75,,true\n")
    assert list(csv.reader(io.StringIO(text)))[1:] == [
        ["0", "pug", "1", "0.75", "", "true"],
        ["0", 'a, "b"\nç', "0", "0.25", "", "true"],
        ["1", "", "", "", "not a JPEG, PNG or WebP image", ""],
    ]


def test_answers_to_lines():
    given = [Answer(RESULTS, many=True), Answer([{"error": "line 2"}], many=False)]
    for media_type in (JSON, LINES):
        found, text = answers.format_lines(media_type, given)
        assert found == LINES
        assert [json.loads(line) for line in text.splitlines()] == [{"results": RESULTS}, {"error": "line 2"}]
    found, text = answers.format_lines(CSV, given)
    assert found == CSV
    assert text.endswith("2,,,,line 2,\n")
