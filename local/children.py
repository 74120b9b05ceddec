"""Processes that end with this one, however it ends."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

# SageMaker's own time limit between SIGTERM and SIGKILL.
STOP_SECONDS = 120
PR_SET_PDEATHSIG = 1


@contextmanager
def child(command: Sequence[object], seconds: float = STOP_SECONDS, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run `command` until it ends, or stop it as stop() if the block raises; `options` are Popen's.

    If this process is killed, it gets SIGTERM.
    """
    arguments = list(map(str, command))
    with subprocess.Popen(arguments, text=True, preexec_fn=end_with_this_process(), **options) as process:
        try:
            yield process
            process.wait()
        except BaseException:
            stop(process, seconds)
            raise


def stop(process: subprocess.Popen[str], seconds: float) -> None:
    """End a process in order, or kill it after so many `seconds`.

    Ctrl-C changes nothing meanwhile: in a terminal it comes to the process too.
    """
    deadline = time.monotonic() + seconds
    process.terminate()
    while process.poll() is None:
        with suppress(KeyboardInterrupt):
            try:
                process.wait(max(1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def end_with_this_process() -> Callable[[], None] | None:
    """Return what a new process calls to get SIGTERM when this one has ended; None where the system cannot send it."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:  # it has ended already
            os._exit(1)

    return ask
