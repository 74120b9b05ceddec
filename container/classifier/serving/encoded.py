"""Decodes base64 as people send it: with line breaks, URL-safe, without padding, quoted, twice, or as a data: URL."""

import binascii
import json
import re

from classifier.images import is_image

# Standard base64 for the URL-safe alphabet, whose text is otherwise the same.
_STANDARD = bytes.maketrans(b"-_", b"+/")
_BREAKS = b"\t\n\r\f\v"
_OTHER = re.compile(rb"[^A-Za-z0-9+/=]")
_DATA_URL = re.compile(r"\s*data:[^,]{0,200},", re.IGNORECASE)
# Base64 has neither a colon nor a dot.
_PLACE = re.compile(r"\s*[a-z][a-z0-9+.-]*://|[^\n]{1,1000}\.\w{2,5}\s*$", re.IGNORECASE)
# A JSON string, or what str() makes of Python's bytes.
_QUOTED = re.compile(r"""\s*b?(["'])(.*)\1\s*""", re.DOTALL)
# Of a JPEG, PNG, WebP or GIF, or any image as a data: URL.
_BEGINNING = re.compile(rb"""\s*(?:b?["'])?(?:data:image/|/9j/|iVBORw0KG|UklGR|R0lGOD)""")
MOST_LAYERS = 3


def find_image(data: bytes) -> bytes:
    """Return the image that `data` is, or whose base64 it is, perhaps more than once; without one, `data`."""
    found = data
    for _ in range(MOST_LAYERS):
        if is_image(found):
            return found
        try:
            found = decode_base64(found.decode(json.detect_encoding(found)))
        except ValueError:
            return data
    return found if is_image(found) else data


def begins_as_base64(data: bytes) -> bool:
    """Return whether `data` begins as an image's base64 does; the rest may be damaged."""
    return _BEGINNING.match(data) is not None


def decode_base64(text: str) -> bytes:
    """Return the bytes. Raises ValueError, with what to change, if `text` is not base64."""
    if found := _QUOTED.fullmatch(text):
        text = found[2]
        if "\\x" in text:
            raise ValueError("it is what Python prints for bytes; send base64.b64encode(data).decode()")
    if found := _DATA_URL.match(text):
        if not re.search(r";\s*base64\s*,$", found.group(), re.IGNORECASE):
            raise ValueError("its data: URL does not say ;base64")
        text = text[found.end() :]
    if _PLACE.match(text):
        raise ValueError("it is where a file is; send what is in the file, in base64")
    try:
        *lines, last = text.encode("ascii").strip().translate(_STANDARD, _BREAKS).split(b" ")
    except UnicodeEncodeError as error:
        raise ValueError(f"remove or replace {text[error.start]!a}") from error
    if any(len(line) % 4 for line in lines):  # a shell makes spaces of line breaks, and a form of each '+'
        raise ValueError("it has spaces, perhaps in place of '+'; send '+' as '%2B' in a form, or '-' for it")
    data = b"".join([*lines, last])
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except binascii.Error as error:
        if other := _OTHER.search(data):
            raise ValueError(f"remove or replace {other.group().decode()!a}") from error
        if b"=" in data:
            raise ValueError("remove each '=' but one or two at its end, and what follows") from error
        raise ValueError("characters are missing at its end") from error
