"""The errors that a user can fix."""

import reprlib

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 200


class UserError(Exception):
    """A fault that the user can fix, in one sentence: the thing, the bad value, what is accepted."""


class PeerLost(UserError):
    """Another process of the job has ended or cannot be reached; the cause lies there."""


class ImageError(ValueError):
    """The bytes are not a readable image; the text says why."""


def shown(value: object) -> str:
    """Return a value of the user's as an error quotes it: what is long is cut in the middle."""
    return _REPR.repr(value)
