import datetime
import json

import pytest

from classifier.json_text import parse_json, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"k": 1, "k": 2}', "it has 'k' more than once"),
        ('[{"a": {"b": 1, "\\u0062": 2}}]', "it has 'b' more than once"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000, "it is nested too deeply"),
        ("9" * 5000, "it has a number of 5,000 digits"),
        (f'{{"k": -{"9" * 5000}}}', "it has a number of 5,001 digits"),
        ("", "Expecting value: line 1 column 1"),
        ('"a\nb"', "Invalid control character"),
    ],
)
def test_what_is_not_json_is_a_reason(text, expected):
    with pytest.raises(ValueError, match=expected):
        parse_json(text)


def test_json_is_its_value():
    assert parse_json('{"a": [1, 0.5, true, null], "b": {"a": "A"}}') == {"a": [1, 0.5, True, None], "b": {"a": "A"}}
    assert parse_json('"a\nb"', control_characters=True) == "a\nb"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        ([True, False], "[true, false]"),
        ({"a": float("nan"), "b": float("-inf")}, "{'a': NaN, 'b': -Infinity}"),
        ([10**5000], "[a number of about 5,000 digits]"),
        ([int("f" * 9000, 16)], "[a number of about 10,837 digits]"),
        ("\0\n\ud800", r"'\x00\n\ud800'"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),
        (json.loads("[" * 900 + "]" * 900), "[[[...]]]"),
    ],
)
def test_a_value_is_shown_in_the_words_of_its_file(value, expected):
    assert shown(value) == expected


@pytest.mark.parametrize("value", ["a" * 10**6, list(range(10**6)), {str(n): "a" * 99 for n in range(99)}, 10**3999])
def test_a_long_value_is_cut(value):
    assert len(shown(value)) < 300
    assert "..." in shown(value)
