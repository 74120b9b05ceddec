"""Run a script's main function with errors as one sentence, and ask before anything costs money."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.errors import UserError
from classifier.training.data.names import printable
from launch.advice import sentence_for


def run(main: Callable[[], int | None]) -> None:
    """Run a script's main. An error that the user can fix is printed as one sentence, with exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may have bytes that are not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main() or 0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if isinstance(error, UserError):
            sentence = str(error)
        elif isinstance(error, OSError) and error.filename:
            sentence = f"{os.fsdecode(error.filename)}: {error.strerror}"
        elif type(error).__module__.startswith(("botocore", "boto3", "pydantic")):  # the SDK checks with it
            sentence = sentence_for(error)
        else:
            raise
        print(f"{Path(sys.argv[0]).stem}: {printable(sentence)}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def if_interrupted(sentence: str) -> Iterator[None]:
    """Print `sentence` if Ctrl-C interrupts the block."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\n{sentence}", file=sys.stderr)
        raise


def ask(question: str, yes: bool) -> None:
    """Ask on the terminal, unless `yes`. Raises UserError if the answer is not yes, or if there is no terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"{question} There is no terminal to answer on: repeat the command with --yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("nothing was done")
