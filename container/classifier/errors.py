"""The errors that a user can fix."""

import re


class UserError(Exception):
    """A fault that the user can fix, in one sentence: the thing, the bad value, what is accepted."""


class PeerLost(UserError):
    """Another process of the job has ended or cannot be reached; the cause lies there."""


class ImageError(ValueError):
    """The bytes are not a readable image; the text says why."""


# What the loader of shared libraries, C++ and threads say where Python would raise MemoryError.
NO_MEMORY = re.compile(
    "failed to map segment|[Cc]annot allocate memory|can't allocate memory|bad_alloc|can't start new thread"
)


def lacks_memory(error: BaseException | None) -> bool:
    """Return whether the processor's memory, or a limit of it or of threads, is behind `error`, also as its cause."""
    while error is not None:
        if isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def too_little_memory(error: BaseException) -> str:
    """Return the sentence on an `error` that lacks_memory()."""
    return f"too little memory is left: {str(error) or 'MemoryError'}; accepted: a machine, or a limit, of more"
