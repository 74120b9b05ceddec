"""Stopping on request: SIGTERM (SageMaker's stop, a spot interruption) and SIGINT (Ctrl-C) end training cleanly."""

import signal
from collections.abc import Callable


class Interrupted(Exception):
    """Training was asked to stop."""


class Interrupt:
    """Remembers a signal until the training loop checks for it, so that no step or file is left incomplete."""

    def __init__(self):
        self.signal: str | None = None

    def install(self) -> "Interrupt":
        """Handle SIGTERM and SIGINT from now on, and return self."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)
        return self

    def check(self, any_process: Callable[[bool], bool]) -> None:
        """Raise Interrupted if a signal has come to this process or, as `any_process` tells, to another one.

        All processes stop at the same step, since each waits for the others' gradients.
        """
        if any_process(self.signal is not None):
            raise Interrupted(self.signal or "a signal to another process")

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = signal.Signals(number).name


def ignore_signals() -> None:
    """Ignore SIGTERM and SIGINT in a child process: the training process decides when it ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
