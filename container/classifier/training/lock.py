"""One training process at a time in a folder: two would overwrite each other's artifact, outputs and checkpoints."""

import fcntl
import os
from pathlib import Path

from classifier.errors import UserError


class InUse(UserError):
    """Another training process works in the folder, whose outputs are that one's."""


def is_in_use(root: Path) -> bool:
    """Return whether a training process keeps `root`."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # as below
    finally:
        os.close(descriptor)
    return False


def lock(root: Path) -> None:
    """Keep `root` for this process until it ends, however it ends. Raises InUse if another one keeps it."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return  # there is nothing in it to overwrite, or the first file read there says why not
    # The processes that read images may outlive a job that is killed, and must not keep the next one out.
    held = [descriptor]
    os.register_at_fork(after_in_child=lambda: held and os.close(held.pop()))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InUse(f"another training process works in {root}; accepted: one at a time, or another folder") from error
    except OSError:
        pass  # some network disks cannot lock a folder
