"""Stopping on request ends training cleanly.

SIGTERM is SageMaker's stop or a spot interruption, SIGINT Ctrl-C, and SIGHUP the end of the terminal or connection.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

# After a signal a file may take this long; then it is given up. SageMaker kills a job 120 s after its signal.
SECONDS_FOR_A_FILE = 10
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BEFORE_THE_FIRST_STEP = "stopped by %s before the first step: there is no artifact"
Item = TypeVar("Item")


class Interrupted(BaseException):
    """Training was asked to stop. As with KeyboardInterrupt, it is not an error that `except Exception` may take."""


def handle(handler: Callable[[int, FrameType | None], object]) -> None:
    """Let SIGNALS call `handler` in this process from now on; SIGINT too, which a shell lets background jobs ignore."""
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup lets it outlive its terminal
            signal.signal(number, handler)


class Interrupt:
    """Remembers a signal until the training loop checks for it, so that no step or file is left incomplete."""

    def __init__(self):
        self.signal: str | None = None
        self.is_waiting = False

    def install(self) -> "Interrupt":
        """Handle SIGNALS from now on, and return self."""
        handle(self._remember)
        signal.signal(signal.SIGALRM, self._give_up)
        return self

    def check(self, any_process: Callable[[bool], bool]) -> None:
        """Raise Interrupted if a signal has come to this process or, as `any_process` tells, to another one.

        All processes stop at the same step, since each waits for the others' gradients.
        """
        if any_process(self.signal is not None):
            raise Interrupted(self.signal or "a signal to another process")

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Raise Interrupted within the block if it goes on for SECONDS_FOR_A_FILE after a signal.

        A file of a network disk that hangs may never be read, and no step would come at which to check for signals.
        """
        before, self.is_waiting = self.is_waiting, True
        self._limit_wait()
        try:
            yield
        finally:
            self.is_waiting = before
            if self.signal and not before:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield from `items`. The wait for one is given up as in waiting()."""
        iterator = iter(items)
        end = object()
        while True:
            with self.waiting():
                item = next(iterator, end)
            if item is end:
                return
            yield item  # pyright: ignore[reportReturnType] # it is not `end`

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = signal.Signals(number).name
        self._limit_wait()

    def _limit_wait(self) -> None:
        if self.signal and self.is_waiting and signal.getsignal(signal.SIGALRM) == self._give_up:
            signal.setitimer(signal.ITIMER_REAL, SECONDS_FOR_A_FILE)

    def _give_up(self, _number: int, _frame: object) -> None:
        if self.is_waiting:
            raise Interrupted(self.signal)


def ignore_signals() -> None:
    """Ignore SIGNALS in a child process: the training process decides when it ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
