"""Reads a request to /invocations: its images, and the number of classes to answer for each."""

import base64
import binascii
import json
import re
from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

# The bytes decide the image's format; these types, or none, only say that the body is one image.
IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "application/x-image", "application/octet-stream")
JSON_TYPE = "application/json"
MAX_IMAGES = 32
# Accepted bodies have fewer, since base64 has none; Python needs seconds to read a body of millions of values.
MOST_COMMAS = 1000
DEFAULT_K = 5
KEYS = ("images", "k")
# The only header that SageMaker's InvokeEndpoint passes to the container.
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True)
class Query:
    """Encoded images and the number of classes to answer for each; `many` if the body was a list of images."""

    images: list[bytes]
    k: int
    many: bool


def read_query(request: Request) -> Query:
    """Read the request's body and headers.

    Raises werkzeug's BadRequest, RequestEntityTooLarge or UnsupportedMediaType with a sentence for the client.
    """
    k = _k_of_header(request.headers.get(ATTRIBUTES, ""))
    if request.mimetype == JSON_TYPE:
        return _read_json(_body(request), k)
    if request.content_type and request.mimetype not in IMAGE_TYPES:
        accepted = ", ".join((*IMAGE_TYPES, JSON_TYPE))
        raise UnsupportedMediaType(f"content type {request.content_type!r} is not accepted; accepted: {accepted}")
    return Query([_body(request)], k, many=False)


def _body(request: Request) -> bytes:
    try:
        body = request.get_data(cache=False)
        # werkzeug silently cuts a body of unknown length off at the limit.
        if request.content_length is None and request.environ["wsgi.input"].read(1):
            raise RequestEntityTooLarge
    except HTTPException:
        raise
    except Exception as error:  # a WSGI server raises its own errors if the client breaks off
        raise BadRequest(f"the request body could not be read: {error}") from error
    if not body:
        raise BadRequest("the request body is empty; accepted: an image, or JSON with images")
    return body


def _read_json(body: bytes, k: int) -> Query:
    if body.count(b",") > MOST_COMMAS:
        raise BadRequest(f"the request body has thousands of values; accepted: {' and '.join(KEYS)}")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the request body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest(f"the request body is a JSON {_kind(value)}; accepted: an object with {' and '.join(KEYS)}")
    unknown = sorted(value.keys() - set(KEYS))
    if unknown:
        raise BadRequest(f"unknown key {_short(unknown[0])}; accepted: {' and '.join(KEYS)}")
    images = value.get("images")
    if not isinstance(images, list):
        raise BadRequest(f"images is {_kind(images)}; accepted: a list of 1 to {MAX_IMAGES} base64 strings")
    if not 1 <= len(images) <= MAX_IMAGES:
        raise BadRequest(f"images has {len(images)} items; accepted: 1 to {MAX_IMAGES}")
    return Query(
        [_decode_base64(image, f"images[{i}]") for i, image in enumerate(images)],
        _valid_k(value["k"], "k") if "k" in value else k,
        many=True,
    )


def _decode_base64(text: object, name: str) -> bytes:
    if not isinstance(text, str):
        raise BadRequest(f"{name} is {_kind(text)}; accepted: a base64 string")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{name} {_short(text)} is not valid base64: {error}") from error


def _k_of_header(attributes: str) -> int:
    """Return the k of "k=3", alone or among other attributes ("trace=7;k=3"), which are the caller's own."""
    for attribute in re.split("[,;]", attributes):
        name, _, value = attribute.partition("=")
        if name.strip() == "k":
            value = value.strip()
            return _valid_k(int(value) if re.fullmatch("[0-9]{1,1024}", value) else value, f"k in {ATTRIBUTES}")
    return DEFAULT_K


def _valid_k(k: object, name: str) -> int:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise BadRequest(f"{name} is {_short(k)}; accepted: a whole number from 1")
    return k


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "missing or null")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
