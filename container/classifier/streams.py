"""Output that cannot be written any more: its disk is full, or its reader, such as head, has gone; and a quick end."""

import os
import sys
from typing import TextIO


def finish(stream: TextIO) -> None:
    """Write what is left in `stream`, or drop it if that fails: Python would say so after the program's end."""
    try:
        stream.flush()
    except OSError:
        drop(stream)


def drop(stream: TextIO) -> None:
    """Let what is left in `stream` and all that follows, of child processes too, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def tell(sentence: str) -> None:
    """Print to standard error, if it can be written: nothing is left where a failure of it could be said."""
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:
        drop(sys.stderr)


def exit_now(code: int) -> None:
    """End this process without unloading anything."""
    finish(sys.stdout)
    finish(sys.stderr)
    os._exit(code)
