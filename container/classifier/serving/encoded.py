"""Decodes base64 as people send it: with line breaks, URL-safe, without padding, or as a data: URL."""

import binascii
import re

# Standard base64 for the URL-safe alphabet, whose text is otherwise the same.
_STANDARD = bytes.maketrans(b"-_", b"+/")
_SPACE = b" \t\n\r\f\v"
_OTHER = re.compile(rb"[^A-Za-z0-9+/=]")
_DATA_URL = re.compile(r"\s*data:[^,]{0,200},", re.IGNORECASE)


def decode_base64(text: str) -> bytes:
    """Return the bytes. Raises ValueError, with what to change, if `text` is not base64."""
    if found := _DATA_URL.match(text):
        if not re.search(r";\s*base64\s*,$", found.group(), re.IGNORECASE):
            raise ValueError("its data: URL does not say ;base64")
        text = text[found.end() :]
    try:
        data = text.encode("ascii").translate(_STANDARD, _SPACE)
    except UnicodeEncodeError as error:
        raise ValueError(f"remove or replace {text[error.start]!a}") from error
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except binascii.Error as error:
        if other := _OTHER.search(data):
            raise ValueError(f"remove or replace {other.group().decode()!a}") from error
        if b"=" in data:
            raise ValueError("remove each '=' but one or two at its end, and what follows") from error
        raise ValueError("characters are missing at its end") from error
