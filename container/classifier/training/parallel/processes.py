"""The processes that train together: what one has to know of the others. Alone, every question has a plain answer."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed

from classifier.contract import Contract
from classifier.errors import PeerLost

# Between two meetings of the processes lies a step, or the writing of a checkpoint. Whoever takes longer is lost;
# a batch may come late from S3, and a job that is ended for that costs more than these minutes.
LONGEST_WAIT = timedelta(minutes=2)


class Alone:
    """One process that trains by itself."""

    rank = 0
    size = 1
    on_this_host = 1

    @property
    def is_first(self) -> bool:
        """The first process writes, logs and decides for all."""
        return self.rank == 0

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """`model` with gradients that are the mean of all processes'."""
        return model

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of all processes' `tensor`, in its place."""
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether any process's `flag` is set."""
        return bool(self.sum(torch.tensor(int(flag))))

    def gather(self, value: object) -> list:
        """Every process's `value`, in order."""
        return [value]

    def broadcast(self, value: object) -> object:
        """The first process's `value`."""
        return value

    def copy_buffers(self, model: torch.nn.Module) -> None:
        """Give every process the first one's batch normalisation statistics."""


ALONE = Alone()


class Group(Alone):
    """This process among those of torch.distributed's default group."""

    def __init__(self):
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()
        self.on_this_host = int(os.environ["LOCAL_WORLD_SIZE"])

    def wrap(self, model):
        return torch.nn.parallel.DistributedDataParallel(model)

    def sum(self, tensor):
        distributed.all_reduce(tensor)
        return tensor

    def gather(self, value):
        values = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def broadcast(self, value):
        values = [value]
        distributed.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def copy_buffers(self, model):
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def is_worker(contract: Contract) -> bool:
    """Whether this process is one of several that the launcher has started."""
    return "TORCHELASTIC_RUN_ID" in contract.environ


@contextlib.contextmanager
def join(contract: Contract) -> Iterator[Alone]:
    """Meet the other processes, if there are any: over NCCL with GPUs, over gloo for all else.

    Raises PeerLost where another one is lost.
    """
    if not is_worker(contract):
        yield ALONE
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    try:
        distributed.init_process_group(backend, timeout=LONGEST_WAIT)
        yield Group()
        # Left out after an error, when it might wait for a process that is no more.
        distributed.destroy_process_group()
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise PeerLost(f"another process of the job has ended or cannot be reached ({error})") from error
        raise
