"""Run a script's main function with errors as one sentence, and ask before anything costs money."""

import errno
import io
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier import streams
from classifier.errors import UserError, lacks_memory
from classifier.training import interrupt
from classifier.training.data.names import printable
from launch.advice import sentence_for
from local import places

# The modules of the errors of AWS's own library.
OF_AWS = ("botocore", "boto3")


def run(main: Callable[[], int | None]) -> None:
    """Run a script's main. An error that the user can fix is printed as one sentence, with exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may have bytes that are not UTF-8
        # Whole lines at once, or in a file or a pipe they would come after those of a training that this starts.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    interrupt.handle(signal.default_int_handler)
    try:
        code = main() or 0
        sys.stdout.flush()  # or a full disk, or a reader such as head that has gone, would be told after the end
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if isinstance(error, UserError):
            sentence = str(error)
        elif isinstance(error, OSError) and not type(error).__module__.startswith(OF_AWS):
            sentence = _sentence_of(error)
        elif type(error).__module__.startswith((*OF_AWS, "pydantic")):  # the SDK checks with it
            sentence = sentence_for(error)
        elif lacks_memory(error):
            sentence = "too little memory is left; accepted: a machine, or a limit (ulimit), of more"
        else:
            raise
        streams.tell(f"{Path(sys.argv[0]).stem}: {printable(sentence)}")
        sys.exit(1)
    finally:
        streams.finish(sys.stdout)


def _sentence_of(error: OSError) -> str:
    """Return what failed: Python names no file where that is a pipe, a connection or standard output."""
    why = error.strerror or str(error) or type(error).__name__
    if isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {why}"
    written = places.RUNS if places.RUNS.exists() else places.ROOT
    if error.errno == errno.ENOSPC and shutil.disk_usage(written).free < 1e6:
        return f"{places.RUNS}: {why}"
    return f"standard output: {why}" if isinstance(error, BrokenPipeError) else why


def again(arguments: str) -> str:
    """Return the command that starts this script with `arguments`, from any folder."""
    return f"python {shlex.quote(str(Path(sys.argv[0]).absolute()))} {arguments}"


@contextmanager
def if_interrupted(sentence: str, refusal: str = "") -> Iterator[None]:
    """Print `sentence` if the block does not come to its end: Ctrl-C, or an AWS that cannot be asked any more.

    It is not printed if AWS refuses the operation `refusal`.
    """
    try:
        yield
    except BaseException as error:
        of_aws = type(error).__module__.startswith(OF_AWS)
        refused = refusal and getattr(error, "operation_name", "") == refusal
        if isinstance(error, KeyboardInterrupt) or (of_aws and not refused):
            streams.tell(f"\n{sentence}")
        raise


@contextmanager
def if_unclear(kind: str, name: str) -> Iterator[None]:
    """Print that AWS may have started a job if the block, which starts it, neither ends nor is refused."""
    sentence = f"AWS may have started {name}: launch/status.py says so, and launch/cleanup.py ends it"
    with if_interrupted(sentence, refusal=f"Create{kind}"):
        yield


def ask(question: str, yes: bool) -> None:
    """Ask on the terminal, unless `yes`. Raises UserError if the answer is not yes, or if there is no terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"{question} There is no terminal to answer on: repeat the command with --yes")
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:  # Ctrl-D
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise UserError("nothing was done")
