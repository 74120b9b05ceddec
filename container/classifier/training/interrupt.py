"""Stopping on request: SIGTERM (SageMaker's stop, a spot interruption) and SIGINT (Ctrl-C) end training in order."""

import signal
from collections.abc import Callable


class Interrupted(Exception):
    """Training was asked to stop."""


class Interrupt:
    """Remembers a signal until the training loop asks for it, so that no step or file is cut in half."""

    def __init__(self):
        self.signal: str | None = None

    def install(self) -> "Interrupt":
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
    """For the processes that read images: the main process decides when they end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
