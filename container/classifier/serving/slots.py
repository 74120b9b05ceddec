"""Images on their way from the fronts to the model's process, in memory that both share.

Made by the master before it forks, so that every process of its, also one that is started later, has the same slots
and links. A slot takes an image's pixels one way and its row the other; what is sent through a link is a few
numbers.
"""

import mmap
import socket
import struct
from typing import NamedTuple, Self

import numpy as np

# A front's images with the models or waiting for them; more wait for a slot.
SLOTS = 64
# The least of them for one of many GPUs.
FEWEST = 8


class Query(NamedTuple):
    """An image in a slot, sent to the model's process number `owner`, until a time of time.monotonic()."""

    slot: int
    owner: int
    ticket: int
    deadline: float


class Reply(NamedTuple):
    """What became of a query: its row is in the slot, unless it expired or failed."""

    slot: int
    ticket: int
    queue_ms: float
    model_ms: float
    batch_size: int
    expired: bool = False
    failed: bool = False


_QUERY, _REPLY = struct.Struct("=iqqd"), struct.Struct("=iqddi??")


class Link:
    """One end of the connection between a front and the model's process, which keeps each message whole."""

    def __init__(self, end: socket.socket):
        self._end = end

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Return a front's end, and the end of the model's process."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    def ask(self, query: Query) -> None:
        """Send a query to the model's process."""
        self._end.send(_QUERY.pack(*query))

    def query(self) -> Query:
        """Wait for a front's next query."""
        return Query(*_QUERY.unpack(self._end.recv(_QUERY.size)))

    def answer(self, reply: Reply) -> None:
        """Send a reply to the front. Its slots are few, so that there is always room for their replies."""
        self._end.send(_REPLY.pack(*reply), socket.MSG_DONTWAIT)

    def reply(self, seconds: float) -> Reply | None:
        """Return the next reply, or None if there is none within `seconds`."""
        self._end.settimeout(seconds)
        try:
            return Reply(*_REPLY.unpack(self._end.recv(_REPLY.size)))
        except TimeoutError:
            return None


class Slots:
    """For each front the pixels and rows of its slots, and which process of the model they wait for."""

    def __init__(self, fronts: int, image_size: int, row_width: int, number: int = SLOTS):
        """Make `number` slots for each of `fronts`, for uint8 pixels of (image_size, image_size, 3) and their rows."""
        self.number = number
        self.pixels = _shared((fronts, number, image_size, image_size, 3), np.uint8)
        self.rows = _shared((fronts, number, row_width), np.float32)
        # Of each slot, the number of the model's process that has its image; 0: it is free.
        self.owners = _shared((fronts, number), np.int64)
        self._owner = _shared((2,), np.int64)
        self.links = [Link.pair() for _ in range(fronts)]

    @property
    def owner(self) -> int:
        """The number of the model's process that answers now; 0: none does."""
        return int(self._owner[0])

    @classmethod
    def of_each(cls, owners: int, fronts: int, image_size: int, row_width: int) -> list[Self]:
        """Return the slots of each of several processes of the model, which share the number that one would have."""
        return [cls(fronts, image_size, row_width, max(FEWEST, SLOTS // owners)) for _ in range(owners)]

    def begin(self) -> int:
        """Count one more process of the model, which answers from now on, and return its number."""
        self._owner[1] += 1
        self._owner[0] = self._owner[1]
        return self.owner

    def end(self) -> None:
        """Say that the model's process has ended."""
        self._owner[0] = 0


def _shared(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Return zeros in memory that forked processes share; it takes room once it is written to."""
    return np.frombuffer(mmap.mmap(-1, int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)
