"""The processes that train together, as each of them sees the others."""

import contextlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from classifier.contract import Contract
from classifier.errors import PeerLost, UserError

# The processes meet at every step, and wait for each other while a checkpoint is written. One that takes longer than
# this is lost: a batch may come late from S3, and a job that fails for that costs more than these minutes.
LONGEST_WAIT = timedelta(minutes=2)
# What the first process does by itself at the end of a job: int8 and the report.
LONGEST_END = timedelta(minutes=30)
Value = TypeVar("Value")


class Group(ABC):
    """The `size` processes of a job; this one has the number `rank`, and `on_this_host` of them share its cores."""

    rank: int
    size: int
    on_this_host: int

    @property
    def is_first(self) -> bool:
        """Whether this process writes, logs and decides for all."""
        return self.rank == 0

    @abstractmethod
    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return `model` with gradients that are the mean over all processes."""

    @abstractmethod
    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add up all processes' `tensor`, in place, and return it."""

    @abstractmethod
    def gather(self, value: Value) -> list[Value]:
        """Return every process's `value`, ordered by rank."""

    @abstractmethod
    def broadcast(self, value: Value) -> Value:
        """Return the first process's `value`."""

    @abstractmethod
    def copy_buffers(self, model: torch.nn.Module) -> None:
        """Give every process the first one's batch normalisation statistics."""

    def any(self, flag: bool) -> bool:
        """Return whether any process's `flag` is set."""
        return bool(self.sum(torch.tensor(int(flag))))


class Alone(Group):
    """One process that trains by itself."""

    rank = 0
    size = 1
    on_this_host = 1

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        return model

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def gather(self, value: Value) -> list[Value]:
        return [value]

    def broadcast(self, value: Value) -> Value:
        return value

    def copy_buffers(self, model: torch.nn.Module) -> None:
        pass


ALONE = Alone()


class Processes(Group):
    """This process among those of torch.distributed's default group."""

    def __init__(self):
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()
        self.on_this_host = int(os.environ["LOCAL_WORLD_SIZE"])

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        return torch.nn.parallel.DistributedDataParallel(model)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        distributed.all_reduce(tensor)
        return tensor

    def gather(self, value: Value) -> list[Value]:
        values = [value] * self.size
        distributed.all_gather_object(values, value)
        return values

    def broadcast(self, value: Value) -> Value:
        values = [value]
        distributed.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def copy_buffers(self, model: torch.nn.Module) -> None:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


@contextlib.contextmanager
def join_group(contract: Contract) -> Iterator[Group]:
    """Meet the other processes, if there are any: with GPUs over NCCL, for everything else over gloo.

    Raises PeerLost if another process is lost, and UserError if NCCL lacks shared memory.
    """
    if not contract.is_worker:
        yield ALONE
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    try:
        distributed.init_process_group(backend, timeout=LONGEST_WAIT)
        last_meeting: Any = distributed.new_group(backend="gloo", timeout=LONGEST_END)
        yield Processes()
        # The first process still measures int8 and writes the report, and its end must not find NCCL torn down.
        # Not after an error: it might wait for a process that has ended.
        distributed.barrier(last_meeting)
        distributed.destroy_process_group()
    except RuntimeError as error:
        if full := re.search("shared memory segment.*No space left", str(error)):
            raise UserError(
                "NCCL connects a host's GPUs through /dev/shm, which is too small; accepted: docker run --shm-size 1g "
                f"({full[0]})"
            ) from error
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise PeerLost(f"another process of the job has ended or cannot be reached ({error})") from error
        raise
