"""What an image may cost: the parts of its file, and the work and memory of its pixels."""

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from classifier.errors import ImageError

# Real files have up to a few hundred parts; some programs write pixels in parts of a kB.
FEW_PARTS, BYTES_PER_PART = 10_000, 1024
# Decoding takes up to 40 ns a pixel. Compressed data can be made that takes longer by any factor.
SECONDS_PER_PIXEL = 40e-9
MOST_EXCESS_S = 0.5


class Cost(NamedTuple):
    """What decoding takes: as long as a PNG with this number of pixels, and at most this many bytes of memory."""

    pixels: int
    memory: int


# The cost of everything but the pixels, which most_parts() bounds.
READING = Cost(0, 0)


def most_parts(data: bytes | memoryview) -> int:
    """Return how many segments or chunks a file may have, so that reading them takes little time for its bytes."""
    return FEW_PARTS + len(data) // BYTES_PER_PART


@dataclass
class Clock:
    """The processor time of this thread, which a busy machine does not lengthen, and the pixels to decode in it."""

    pixels: int = 0
    start: float = field(default_factory=time.thread_time)

    def check(self) -> None:
        """Raise ImageError if decoding takes much longer than its pixels explain."""
        if time.thread_time() - self.start - self.pixels * SECONDS_PER_PIXEL > MOST_EXCESS_S:
            raise ImageError("its compressed data takes too long to decode")
