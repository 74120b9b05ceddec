"""What a request asks for: its images, and how they are to be answered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.exceptions import BadRequest

from classifier.images import ImageError
from classifier.json_text import shown

DEFAULT_K = 5
# The only header that SageMaker's InvokeEndpoint passes to the container.
OURS = "k", "explain", "model_sha256"
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True)
class Query:
    """Encoded images, or why one cannot be had, and how they are to be answered: the number of classes for each, and
    whether to explain them; `many` if it was a list.

    `model_sha256` asks which model answers. A line of JSON that is not valid has no images, and an `error`.
    """

    images: list[bytes | ImageError]
    k: int = DEFAULT_K
    explain: bool = False
    model_sha256: bool = False
    many: bool = False
    error: str = ""


def read_attributes(attributes: str) -> Query:
    """Return what "k=3;explain=true" asks for; other attributes, such as "trace=7", are the caller's own.

    Raises BadRequest with a sentence.
    """
    values: dict[str, str] = {}
    for attribute in re.split("[,;]", attributes):
        name, _, value = attribute.partition("=")
        name, value = name.strip(), value.strip()
        if name in OURS and values.get(name, value) != value:
            raise BadRequest(f"{name} in {ATTRIBUTES} is both {shown(values[name])} and {shown(value)}; accepted: one")
        values.setdefault(name, value)
    k = values.get("k", str(DEFAULT_K))
    return Query(
        [],
        valid_k(int(k) if re.fullmatch("[0-9]{1,1024}", k) else k, f"k in {ATTRIBUTES}"),
        explain=_flag(values, "explain"),
        model_sha256=_flag(values, "model_sha256"),
    )


def valid_k(k: object, name: str) -> int:
    """Return `k`, the number of classes, which errors call `name`. Raises BadRequest with a sentence."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise BadRequest(f"{name} is {shown(k)}; accepted: a whole number from 1")
    return k


def valid_flag(flag: object, name: str) -> bool:
    """Return `flag`, which errors call `name`. Raises BadRequest with a sentence."""
    if not isinstance(flag, bool):
        raise BadRequest(f"{name} is {shown(flag)}; accepted: true, false")
    return flag


def _flag(values: Mapping[str, str], name: str) -> bool:
    value = values.get(name, "false")
    return valid_flag({"true": True, "false": False}.get(value, value), f"{name} in {ATTRIBUTES}")
