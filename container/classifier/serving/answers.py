"""Results in the form that the client accepts: JSON, CSV or JSON lines.

A result is {"predictions": [{"class", "index", "probability"}, ...]} or {"error": sentence}.
"""

import csv
import io
import json
from collections.abc import Sequence

import numpy as np
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable

CSV_HEADER = ("image", "class", "index", "probability", "error")


def top(probabilities: np.ndarray, classes: Sequence[str], k: int) -> list[dict[str, object]]:
    """The `k` most probable classes, best first; all of them where there are fewer than `k`."""
    best = np.argsort(-probabilities, kind="stable")[:k]
    # Six decimals are finer than any difference that means something.
    return [{"class": classes[i], "index": int(i), "probability": round(float(probabilities[i]), 6)} for i in best]


def choose_type(accept: MIMEAccept) -> str:
    """The type of answer that an Accept header prefers; JSON where there is none. Raises NotAcceptable."""
    if not accept:
        return next(iter(WRITERS))
    # Parameters such as charset do not change what is wanted.
    wanted = MIMEAccept([(value.partition(";")[0].strip(), quality) for value, quality in accept])
    chosen = wanted.best_match(WRITERS)
    if chosen is None:
        raise NotAcceptable(f"no answer in the type {str(accept)!r}; accepted: {', '.join(WRITERS)}")
    return chosen


def write(media_type: str, results: Sequence[dict], many: bool) -> str:
    """The body of an answer of `media_type`; `many` where the request was a list of images."""
    return WRITERS[media_type](results, many)


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _json(results: Sequence[dict], many: bool) -> str:
    return _line({"results": results} if many else results[0])


def _csv(results: Sequence[dict], many: bool) -> str:
    text = io.StringIO()
    rows = csv.DictWriter(text, CSV_HEADER, lineterminator="\n")
    rows.writeheader()
    for image, result in enumerate(results):
        # Either has the result's key as one of its columns: an error is a row without a class.
        rows.writerows({"image": image, **row} for row in result.get("predictions", [result]))
    return text.getvalue()


def _jsonlines(results: Sequence[dict], many: bool) -> str:
    return "".join(map(_line, results))


WRITERS = {"application/json": _json, "text/csv": _csv, "application/jsonlines": _jsonlines}
