"""Reads a request to /invocations: its images, and the number of classes to answer for each."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from flask import Request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from classifier.formats.others import kind_of
from classifier.images import ImageError, is_image
from classifier.json_text import parse_json, shown, type_name
from classifier.serving.answers import JSON, LINES_TYPES
from classifier.serving.encoded import begins_as_base64, decode_base64, find_image
from classifier.serving.query import ATTRIBUTES, Query, read_attributes, valid_flag, valid_k
from classifier.words import plural

# The bytes decide what it is: one image, base64 of one, or JSON after all. The last is what curl --data-binary says
# unless told otherwise.
IMAGE_TYPES = (
    "image/*",
    "application/x-image",
    "application/octet-stream",
    "binary/octet-stream",
    "text/plain",
    "application/x-www-form-urlencoded",
)
CURL = "curl --data-binary @picture.jpg ADDRESS/invocations"
# What curl -F sends.
FORM_TYPE = "multipart/form-data"
# A compressed body would be read as if it were not.
CODINGS = {"Content-Encoding": ("identity",), "Transfer-Encoding": ("chunked",)}
MAX_IMAGES = 32
# Accepted bodies have fewer, since base64 has none; Python needs seconds to read a body of millions of values.
MOST_COMMAS = 1000
KEYS = ("images", "k", "explain")
EXAMPLE = '{"images": ["base64 of a JPEG, PNG or WebP file", ...], "k": 5}'
FORM = f"an object with images, k and explain, as in {EXAMPLE}, not pixels"
_NOT_BLANK = re.compile(rb"\S[^\n]*")
_JSON = re.compile(rb"(\xef\xbb\xbf)?\s*[\[{\"]")
_TEXT = re.compile(rb"[\t\n\r -~]+")


def has_lines(request: Request) -> bool:
    """Return whether the request is JSON lines, of which each is a query and has a line of the answer."""
    return request.mimetype in LINES_TYPES


def read_queries(request: Request) -> list[Query]:
    """Read the request's body and headers: one query, or one for each of its lines.

    Raises werkzeug's BadRequest, RequestEntityTooLarge or UnsupportedMediaType with a sentence for the client.
    """
    asked = read_attributes(request.headers.get(ATTRIBUTES, ""))
    for header, accepted in CODINGS.items():
        value = request.headers.get(header, "")
        if not {coding.strip().lower() for coding in value.split(",")} <= {"", *accepted}:
            raise UnsupportedMediaType(f"{header} {shown(value)} is not accepted; accepted: {' or '.join(accepted)}")
    if has_lines(request):
        return _read_lines(_body(request), asked)
    mimetype = request.mimetype
    if mimetype == FORM_TYPE:
        raise UnsupportedMediaType(f"content type {FORM_TYPE!r}, a form, is not accepted; send the file itself: {CURL}")
    if request.content_type and mimetype not in (*IMAGE_TYPES, JSON) and not mimetype.startswith("image/"):
        accepted = ", ".join((*IMAGE_TYPES, JSON, *LINES_TYPES))
        raise UnsupportedMediaType(f"content type {shown(request.content_type)} is not accepted; accepted: {accepted}")
    body = _body(request)
    if mimetype == JSON or _JSON.match(body):
        return [_read_json(body, asked, "the request body")]
    return [replace(asked, images=[_read_image(body)])]


def _read_image(body: bytes) -> bytes | ImageError:
    """Return the image of a body that is not JSON, or why its base64 gives none."""
    image = find_image(body)
    if begins_as_base64(image):
        return _decode_image(image.decode(errors="replace"))
    if _TEXT.fullmatch(image):
        decoded = _decode_image(image.decode())
        if isinstance(decoded, bytes) and kind_of(decoded):  # of a GIF, for example
            return decoded
        raise BadRequest(text_refused(image[:100].decode()))
    return image


def text_refused(text: str) -> str:
    """Return what is said of a body that begins with `text`."""
    accepted = "the bytes of a JPEG, PNG or WebP file, as curl --data-binary @picture.jpg sends them"
    return f"the request body is the text {shown(text)}, not an image; accepted: {accepted}"


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


def _read_lines(body: bytes, asked: Query) -> list[Query]:
    if not json.detect_encoding(body).startswith("utf-8"):
        body = _text(body, "the request body").encode("utf-8", "surrogatepass")
    queries = [
        _read_line(line, asked, f"line {number}") for number, line in islice(_numbered_lines(body), MAX_IMAGES + 1)
    ]
    if not 1 <= len(queries) <= MAX_IMAGES or sum(len(query.images) for query in queries) > MAX_IMAGES:
        raise BadRequest(
            f"the request body has {'too many images or lines' if queries else 'no line'}; accepted: 1 to {MAX_IMAGES} "
            "images in all lines together. BatchStrategy SingleRecord sends one line at a time"
        )
    return queries


def _numbered_lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, whole, and their numbers, which count the blank ones too."""
    number, position = 1, 0
    for found in _NOT_BLANK.finditer(body):
        number += body.count(b"\n", position, found.start())
        position = found.start()
        yield number, body[body.rfind(b"\n", 0, position) + 1 : found.end()]


def _read_line(line: bytes, asked: Query, name: str) -> Query:
    try:
        return _read_json(line, asked, name)
    except BadRequest as error:
        return Query([], error=error.description or "")


def _read_json(body: bytes, asked: Query, name: str) -> Query:
    """Return the query in a body or line, by default for what is `asked` by the header; errors call it `name`."""
    value = _parse_json(body, name)
    if isinstance(value, str):
        image = _decode_image(value)
        if isinstance(image, ImageError):
            raise BadRequest(f"{name}: {image}")
        return replace(asked, images=[image])
    if not isinstance(value, dict):
        raise BadRequest(f"{name} is {type_name(value)}; accepted: {FORM}")
    unknown = sorted(value.keys() - set(KEYS))
    if unknown:
        raise BadRequest(f"unknown key {shown(unknown[0])}; accepted: {FORM}")
    images = value.get("images")
    if not isinstance(images, list):
        found = type_name(images) if "images" in value else "missing"
        sentence = f"images is {found}; accepted: a list of 1 to {MAX_IMAGES} base64 strings"
        raise BadRequest(f"{sentence}, as in {EXAMPLE}")
    if not 1 <= len(images) <= MAX_IMAGES:
        raise BadRequest(f"images has {plural(len(images), 'item')}; accepted: 1 to {MAX_IMAGES}")
    return Query(
        list(map(_decode_image, images)),
        valid_k(value["k"], "k") if "k" in value else asked.k,
        valid_flag(value["explain"], "explain") if "explain" in value else asked.explain,
        asked.model_sha256,
        many=True,
    )


def _parse_json(body: bytes, name: str) -> object:
    text = _text(body, name)
    if text.count(",") > MOST_COMMAS and re.match(r"\s*[\[{]", text):
        raise BadRequest(f"{name} has thousands of values; accepted: {FORM}. It begins with {shown(text[:40])}")
    try:
        return parse_json(text, control_characters=True)  # base64 may have line breaks that are not escaped
    except ValueError as error:
        if is_image(find_image(body)):
            return text  # base64 that lacks the quotes of a JSON string
        raise BadRequest(f"{name} is not valid JSON: {_reason(error)}") from error


def _reason(error: ValueError) -> str:
    """Return why a text is not JSON, and where, without the line's number in a text of one line."""
    if isinstance(error, json.JSONDecodeError) and "\n" not in error.doc:
        return f"{error.msg}: column {error.colno}"
    return str(error)


def _text(body: bytes, name: str) -> str:
    """Return JSON in UTF-8, UTF-16 or UTF-32 as text."""
    try:
        return body.decode(json.detect_encoding(body), "surrogatepass")
    except ValueError as error:
        advice = f"an image needs a Content-Type of its own, such as {IMAGE_TYPES[1]}"
        raise BadRequest(f"{name} is not valid JSON: {error}; {advice}") from error


def _decode_image(text: object) -> bytes | ImageError:
    """Return the image of one item, or why there is none, which does not concern the other items."""
    if not isinstance(text, str):
        return ImageError(f"it is {type_name(text)}; accepted: a base64 string of the image's file, not its pixels")
    try:
        return find_image(decode_base64(text))
    except ValueError as error:
        return ImageError(f"{shown(text)} is not valid base64: {error}")
