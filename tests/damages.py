"""The damages that people, other programs and crashes do to a file of JSON or TOML, each made from a good one."""

import copy
import json
from collections.abc import Iterator

DEEP = json.loads("[" * 400 + "]" * 400)
# "1e999" and a number of 5,000 digits are written into the text, since Python's json does not write them.
BAD = (
    *(None, True, False, 0, -1, 0.5, 1e300, 10**30, "", "a", "\0", "../../a", "a" * 300, "\ud800", "1_0", "\n1"),
    *([], {}, [[]], [None], [""], {"": None}, {"lr": {}}, [float("nan")], float("nan"), float("-inf")),
    *("VERY LARGE", "HUGE", DEEP),
)
WRITTEN = {'"VERY LARGE"': "1e999", '"HUGE"': "9" * 5000}


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """Yield the path of every value within an object or array; only the first of an array's items."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def at(value, path: tuple):
    """Return the object or array that holds the value at `path`."""
    for key in path[:-1]:
        value = value[key]
    return value


def changes(good: dict, bad: tuple = BAD) -> Iterator[tuple[str, dict]]:
    """Yield what was changed, and the object with it: a value replaced by each bad one, dropped, or a key added."""
    for path in places(good):
        for value in bad:
            changed = copy.deepcopy(good)
            at(changed, path)[path[-1]] = value
            yield f"{path} is {str(value)[:40]!r}", changed
        changed = copy.deepcopy(good)
        del at(changed, path)[path[-1]]
        yield f"{path} is gone", changed
        if isinstance(at(good, path), dict):
            changed = copy.deepcopy(good)
            at(changed, path)["another"] = {"key": 1}
            yield f"another key beside {path}", changed


def texts(good: dict) -> Iterator[tuple[str, str]]:
    """Yield what was changed, and the file's text: every change of the object, and the file cut off at each tenth."""
    for what, changed in changes(good):
        text = json.dumps(changed)
        for standing_for, written in WRITTEN.items():
            text = text.replace(standing_for, written)
        yield what, text
    whole = json.dumps(good, indent=2)
    for tenth in range(10):
        yield f"cut off at {tenth} tenths", whole[: len(whole) * tenth // 10]
    yield "NUL bytes", "\0" * 100
    yield "a name twice", whole[:-1] + ', "name": "a", "name": "b"}'
