"""Example requests and answers for the page: with the model's own classes, in the formats that answers.py writes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from classifier.serving.answers import CSV, JSON, Answer, error_body, format_answer, top_classes
from classifier.serving.inputs import text_refused

# In their place the page has its own server's.
ADDRESS = "http://HOST:PORT/invocations"
TEXT = "Buy milk"


class Example(NamedTuple):
    """What is sent, the command that sends it, and the body of the answer."""

    what: str
    command: str
    answer: str


def examples(classes: Sequence[str]) -> list[Example]:
    """Return an example of each kind of request; the probabilities are made up."""
    probabilities = np.full(len(classes), 0.069 / max(1, len(classes) - 1))
    probabilities[0] = 0.931
    one: dict[str, Any] = {"predictions": top_classes(probabilities, classes, 2), "known": True}
    other: dict[str, Any] = {"predictions": top_classes(probabilities[::-1], classes, 1), "known": False}
    several = """-H 'Content-Type: application/json' -d '{"images": ["BASE64", "BASE64"], "k": 1}'"""
    best = one | {"predictions": one["predictions"][:1]}
    return [
        Example("A picture", f"curl --data-binary @photo.jpg {ADDRESS}", format_answer(JSON, Answer([one], False))),
        Example("Several, as JSON", f"curl {several} {ADDRESS}", format_answer(JSON, Answer([best, other], True))),
        Example(
            "For a spreadsheet",
            f"curl -H 'Accept: text/csv' --data-binary @photo.jpg {ADDRESS}",
            format_answer(CSV, Answer([one], False)),
        ),
        Example(
            "Something else",
            f"curl --data-binary {TEXT!r} {ADDRESS}",
            error_body(text_refused(TEXT)),
        ),
    ]
