"""The errors that a user can fix."""


class UserError(Exception):
    """A fault that the user can fix, in one sentence: the thing, the bad value, what is accepted."""


class PeerLost(UserError):
    """Another process of the job has ended or cannot be reached; the cause lies there."""


class ImageError(ValueError):
    """The bytes are not a readable image; the text says why."""
