"""What the serving processes know of each other: which of them have their model, and how many connections each has.

The kernel gives a new connection to whichever process asks first, and that may be the same one every time. A router
keeps few connections for long, so a process leaves a new one to another that has fewer.
"""

import mmap

VACANT = -1


class Fronts:
    """A seat for each process, in memory that the master's children share."""

    def __init__(self, number: int):
        """Make `number` vacant seats; for the master, before it forks."""
        self.seats = [Seat(self) for _ in range(number)]

    def take(self) -> "Seat":
        """Return a vacant seat for the process that is forked next."""
        seat = next(seat for seat in self.seats if not seat.is_taken)
        seat.enter()
        return seat

    @property
    def is_empty(self) -> bool:
        """Whether all processes have ended."""
        return not any(seat.is_taken for seat in self.seats)

    @property
    def has_ready(self) -> bool:
        """Whether any process has its model."""
        return any(seat.is_taken and seat.is_ready for seat in self.seats)


class Seat:
    """One process's entry: written by it alone while it lives, read by all."""

    def __init__(self, fronts: Fronts):
        self.fronts = fronts
        self._numbers = memoryview(mmap.mmap(-1, 8)).cast("i")
        self.leave()

    def enter(self) -> None:
        """Belong to a new process, which has neither a connection nor a model yet."""
        self._numbers[0] = self._numbers[1] = 0

    def leave(self) -> None:
        """Be vacant again, after the process has ended."""
        self._numbers[0], self._numbers[1] = VACANT, 0

    @property
    def is_taken(self) -> bool:
        """Whether a process has this seat."""
        return self._numbers[0] != VACANT

    @property
    def is_ready(self) -> bool:
        """Whether the process has its model."""
        return bool(self._numbers[1])

    def be_ready(self) -> None:
        """Say that the process has its model."""
        self._numbers[1] = 1

    def count(self, connections: int) -> None:
        """Say how many connections the process has."""
        self._numbers[0] = connections

    def is_next(self) -> bool:
        """Return whether the next connection is for this process: no other is ready instead of it, or has fewer."""
        return self._rank() <= min(seat._rank() for seat in self.fronts.seats if seat.is_taken)

    def can_answer(self) -> bool:
        """Return whether this process answers as well as any other: it has its model, or none has."""
        return self.is_ready or not self.fronts.has_ready

    def _rank(self) -> tuple[bool, int]:
        return not self.is_ready, self._numbers[0]
