"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """A cause the user can remove, told in one sentence: the thing, the bad value, what is accepted."""


class PeerLost(UserError):
    """Another process of a job has ended or cannot be reached; the cause is with that one."""
