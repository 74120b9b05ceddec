"""JSON that people and other programs wrote: read more strictly than Python does, and shown in errors in its words."""

import datetime
import json
import math
import reprlib

from classifier.words import plural

# Python reads no number of more, and its own sentence about that names a Python function.
MOST_DIGITS = 4000


def parse_json(text: str, control_characters: bool = False) -> object:
    """Return the value of a JSON text, in which strings may have line breaks if `control_characters`.

    Raises ValueError, with a reason for the user, if it is not JSON or if an object has a name twice.
    """
    try:
        return json.loads(text, strict=not control_characters, object_pairs_hook=_once, parse_int=_parse_whole)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def type_name(value: object) -> str:
    """Return the type of a JSON value in JSON's words, such as "an array"."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in values if names.count(name) > 1)
        raise ValueError(f"it has {shown(twice)} more than once")
    return values


def _parse_whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"it has a number of {plural(len(text), 'digit')}")
    return int(text)


class _Shown(reprlib.Repr):
    """Writes values as JSON and TOML have them; long and nested ones are cut."""

    def __init__(self):
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.maxother = 2, 60, 40, 60

    def repr_NoneType(self, value: None, level: int) -> str:  # noqa: N802, reprlib looks it up by the type's name
        return "null"

    def repr_bool(self, value: bool, level: int) -> str:
        return "true" if value else "false"

    def repr_float(self, value: float, level: int) -> str:
        return json.dumps(value)  # NaN and Infinity where Python has nan and inf

    def repr_int(self, x: int, level: int) -> str:
        digits = int(x.bit_length() * math.log10(2))
        return super().repr_int(x, level) if digits < MOST_DIGITS else f"a number of about {plural(digits, 'digit')}"

    def repr_date(self, value: datetime.date | datetime.time, level: int) -> str:
        return value.isoformat()

    repr_datetime = repr_time = repr_date


shown = _Shown().repr
