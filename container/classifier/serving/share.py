"""A serving process's share of the machine: of its cores, and of what all requests together may take."""

from typing import NamedTuple

from classifier import machine
from classifier.headroom import free_memory

# One process with two cores uses both: decoding and the model run outside Python's lock. With more cores, that lock
# becomes the limit, at some 1,500 requests a second with no decoding and no model behind HTTP.
CORES_PER_FRONT = 2
# What a process takes with its own copy of the model, and what large images and bodies may need besides.
FRONT_BYTES = 1 << 30
# Of the machine: idle connections included. A core's threads hold a batch of 4 in the model and the next images,
# which are being decoded.
MOST_CONNECTIONS = 900
THREADS_PER_CORE = 16
MOST_THREADS = 256


class Share(NamedTuple):
    """What each of `fronts` serving processes may use: `cores`, and its part of every total.

    With `owners`, as many more processes have the copies of the model, each on a GPU; else each front has its own.
    """

    cores: int
    fronts: int = 1
    owners: int = 0

    @property
    def all_cores(self) -> int:
        """The cores of all processes together."""
        return self.cores * self.fronts

    @property
    def threads(self) -> int:
        """The requests for the model that a process runs at a time."""
        return self.of(min(MOST_THREADS, THREADS_PER_CORE * max(2, self.all_cores)))

    def of(self, total: int) -> int:
        """Return a process's part of `total`."""
        return max(1, total // self.fronts)


def choose_share(fronts: int = 0) -> Share:
    """Return the share of each of `fronts` processes, by default as many as cores and memory are good for."""
    cores = machine.usable_cores()
    fronts = fronts or max(1, min(cores // CORES_PER_FRONT, free_memory() // FRONT_BYTES))
    return Share(max(1, cores // fronts), fronts, len(machine.list_gpus()))
