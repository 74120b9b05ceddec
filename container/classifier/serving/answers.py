"""Results in the format that the client accepts: JSON, CSV or JSON lines.

A result is {"predictions": [{"class", "index", "probability"}, ...], "known": true} or {"error": sentence}. A
prediction that is explained has a "map" besides. "known" is left out of what a model that does not measure it answers.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable

from classifier.unlikeness import split_row

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
# JSON lines have several names, and none is registered.
LINES_TYPES = (LINES, "application/x-jsonlines", "application/jsonl", "application/x-ndjson")
CSV_HEADER = ("image", "class", "index", "probability", "error", "known")


def top_classes(probabilities: np.ndarray, classes: Sequence[str], k: int) -> list[dict[str, Any]]:
    """Return the `k` most probable classes, or all if there are fewer than `k`, the most probable first."""
    best = np.argsort(-probabilities, kind="stable")[:k]
    # Differences beyond six decimals mean nothing.
    return [{"class": classes[i], "index": int(i), "probability": round(float(probabilities[i]), 6)} for i in best]


def result_of(row: np.ndarray, classes: Sequence[str], k: int) -> dict[str, Any]:
    """Return the result for an engine's row: the `k` most probable classes, and whether the image is known."""
    probabilities, known = split_row(row, len(classes))
    predictions: dict[str, Any] = {"predictions": top_classes(probabilities, classes, k)}
    return predictions if known is None else predictions | {"known": known}


class Answer(NamedTuple):
    """The results of a query's images; `many` says whether it was a list of images."""

    results: list[dict]
    many: bool


def choose_type(accept: MIMEAccept) -> str:
    """Return the media type that an Accept header prefers, by default JSON.

    Raises NotAcceptable if the header accepts none of ours.
    """
    if not accept:
        return JSON
    # Parameters such as charset make no difference, and Java's own client writes * for */*.
    types = [(value.partition(";")[0].strip(), quality) for value, quality in accept]
    wanted = MIMEAccept([("*/*" if value == "*" else value, quality) for value, quality in types])
    chosen = wanted.best_match(FORMATTERS)
    if chosen is None:
        raise NotAcceptable(f"no answer in the type {str(accept)!r}; accepted: {', '.join(FORMATTERS)}")
    return chosen


def format_answer(media_type: str, answer: Answer) -> str:
    """Return the body of an answer of `media_type`."""
    return FORMATTERS[media_type](*answer)


def error_body(sentence: str) -> str:
    """Return the body, in JSON, of an answer that is an error."""
    return json.dumps({"error": sentence}) + "\n"


def format_lines(media_type: str, answers: Sequence[Answer]) -> tuple[str, str]:
    """Return the media type and the body of the answers to JSON lines.

    It is CSV if `media_type` is, with the images of all lines; else each line is what its query alone gets as JSON.
    """
    if media_type == CSV:
        return CSV, _csv([result for answer in answers for result in answer.results], many=True)
    return media_type if media_type in LINES_TYPES else LINES, "".join(_json(*answer) for answer in answers)


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _json(results: Sequence[dict], many: bool) -> str:
    return _line({"results": results} if many else results[0])


def _csv(results: Sequence[dict], many: bool) -> str:
    text = io.StringIO()
    rows: csv.DictWriter[str] = csv.DictWriter(text, CSV_HEADER, lineterminator="\n")
    rows.writeheader()
    for image, result in enumerate(results):
        # A result without predictions is a row itself: its only key is the column "error".
        known = {"known": json.dumps(result["known"])} if "known" in result else {}
        rows.writerows({"image": image, **known, **row} for row in result.get("predictions", [result]))
    return text.getvalue()


def _jsonlines(results: Sequence[dict], many: bool) -> str:
    return "".join(map(_line, results))


FORMATTERS = {JSON: _json, CSV: _csv} | dict.fromkeys(LINES_TYPES, _jsonlines)
