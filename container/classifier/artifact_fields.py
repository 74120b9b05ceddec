"""The fields of model.json, and what each accepts: a program may have changed the file since training wrote it."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from classifier.json_text import shown
from classifier.layers import CONVOLUTIONS, IMAGE_SIZES
from classifier.names import damages, visible

WEIGHTS_FILE = "model.safetensors"
NETWORK_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
UNLIKENESS_FILE = "unlikeness.safetensors"


def is_number(value: object, low: float, high: float) -> bool:
    """Return whether `value` is a number from `low` to `high`, which nan is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_whole(value: object, low: int, high: float) -> bool:
    return type(value) is int and low <= value <= high


def are_numbers(value: object, length: int, low: float, high: float) -> bool:
    return isinstance(value, list) and len(value) == length and all(is_number(one, low, high) for one in value)


def are_classes(value: object) -> bool:
    """Return whether training accepts all these names, and takes no two for the same class."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    seen = {visible(name) for name in value if not damages(name)} - {""}
    return len(seen) == len(value) >= 2


def is_object(value: object) -> bool:
    return isinstance(value, dict)


def is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def is_range(value: object) -> bool:
    # Above this it would be infinite in float32.
    largest = 3e38
    return isinstance(value, list) and are_numbers(value, 2, -largest, largest) and value[0] <= 0 <= value[1]


DIGEST = "64 hexadecimal digits, in small letters"


class Field(NamedTuple):
    is_valid: Callable[[object], bool]
    accepted: str
    required: bool = False


PART = Field(lambda value: value is None or (is_object(value) and bool(value)), "an object with values, or null")
FIELDS = {
    "classes": Field(
        are_classes,
        "a list of at least 2 names of visible characters that look different, none with a control character, "
        "a line break or half a UTF-16 pair",
        required=True,
    ),
    "image_size": Field(
        partial(is_whole, low=IMAGE_SIZES[0], high=IMAGE_SIZES[1]),
        f"a whole number from {IMAGE_SIZES[0]} to {IMAGE_SIZES[1]}",
        required=True,
    ),
    "eps": Field(partial(is_number, low=1e-12, high=0.1), "a number from 1e-12 to 0.1", required=True),
    # Training fits one from 0.5 to 100.
    "temperature": Field(partial(is_number, low=0.01, high=10_000), "a number from 0.01 to 10000"),
    "mean": Field(partial(are_numbers, length=3, low=0, high=1), "3 numbers from 0 to 1"),
    "std": Field(partial(are_numbers, length=3, low=0.001, high=1), "3 numbers from 0.001 to 1"),
    "hyperparameters": Field(is_object, "an object"),
    "metrics": Field(is_object, "an object"),
    "versions": Field(is_object, "an object"),
    "weights_sha256": Field(lambda value: value is None or is_sha256(value), DIGEST),
    "sha256": Field(is_object, "an object"),
    "networks_key": Field(lambda value: value == "" or is_sha256(value), DIGEST),
    "quantization": PART,
    "unlikeness": PART,
}
FILES: dict[str, Field] = dict.fromkeys(
    (WEIGHTS_FILE, UNLIKENESS_FILE, NETWORK_FILE, INT8_FILE), Field(is_sha256, DIGEST)
)
QUANTIZATION = {
    "ranges": Field(is_object, "an object", required=True),
    "images": Field(partial(is_whole, low=1, high=math.inf), "a whole number from 1", required=True),
    "accuracy_lost": Field(partial(is_number, low=-1, high=1), "a number from -1 to 1", required=True),
}
LIMITS_INT8 = 0.01, 100.0
UNLIKENESS = {
    "share": Field(partial(is_number, low=0.5, high=1), "a number from 0.5 to 1", required=True),
    "images": Field(partial(is_whole, low=1, high=math.inf), "a whole number from 1", required=True),
    "limit_int8": Field(
        partial(is_number, low=LIMITS_INT8[0], high=LIMITS_INT8[1]), "a number from 0.01 to 100", required=True
    ),
}
RANGE = Field(is_range, "the lowest result, at most 0, and the highest, at least 0", required=True)


def check_fields(values: dict[str, Any]) -> None:
    """Raise ValueError if a field of model.json is missing, or has a value that it does not accept."""
    _check(values, FIELDS)
    _check(values.get("sha256", {}), FILES, "sha256.")
    if measured := values.get("quantization"):
        _check(measured, QUANTIZATION, "quantization.")
        _check(measured["ranges"], dict.fromkeys(CONVOLUTIONS, RANGE), "quantization.ranges.")
    if measured := values.get("unlikeness"):
        _check(measured, UNLIKENESS, "unlikeness.")


def _check(values: Mapping[str, object], fields: Mapping[str, Field], within: str = "") -> None:
    for name, field in fields.items():
        if name in values and not field.is_valid(values[name]):
            raise ValueError(f"{within}{name} is {shown(values[name])}; accepted: {field.accepted}")
        if name not in values and field.required:
            raise ValueError(f"{within}{name} is missing; accepted: {field.accepted}")
