"""Starts one process for each GPU of each host with torch.distributed.run, as resourceconfig.json describes the job."""

import os
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.machine import usable_cores
from classifier.words import plural

PORT = 29500
SECONDS_FOR_NAMES = 300


@dataclass(frozen=True)
class Plan:
    """The job's `hosts` in order, the index `place` of this one among them, and the processes on each."""

    hosts: tuple[str, ...]
    place: int
    processes_per_host: int
    network_interface: str | None

    @property
    def is_alone(self) -> bool:
        return len(self.hosts) * self.processes_per_host == 1

    def arguments(self) -> list[str]:
        """Return the arguments of torch.distributed.run. All processes meet at the first host."""
        processes = f"--nproc-per-node={self.processes_per_host}"
        if len(self.hosts) == 1:
            return ["--standalone", processes]
        return [
            f"--nnodes={len(self.hosts)}",
            f"--node-rank={self.place}",
            f"--master-addr={self.hosts[0]}",
            f"--master-port={PORT}",
            processes,
        ]

    def variables(self) -> dict[str, str]:
        """Return the environment variables that set the network interface and each process's number of threads."""
        interface = "lo" if len(self.hosts) == 1 else self.network_interface
        threads = max(1, usable_cores() // self.processes_per_host)
        variables = {"OMP_NUM_THREADS": str(threads)}
        if interface in {name for _, name in socket.if_nameindex()}:
            variables |= {"NCCL_SOCKET_IFNAME": interface, "GLOO_SOCKET_IFNAME": interface}
        return variables


def make_plan(contract: Contract) -> Plan:
    """Return the plan for this host. Raises UserError if it is to have more processes than GPUs."""
    resources = contract.resources()
    hosts = tuple(sorted(resources.hosts))
    gpus = torch.cuda.device_count()
    processes = contract.processes_per_host or max(1, gpus)
    if 0 < gpus < processes:
        raise UserError(
            f"PROCESSES_PER_HOST is {processes}, on a host with {plural(gpus, 'GPU')}; accepted: up to {gpus}"
        )
    return Plan(hosts, hosts.index(resources.current_host), processes, resources.network_interface)


def launch(plan: Plan, contract: Contract) -> int:
    """Run this program in each process of this host, and return the exit code for all of them.

    The processes report their own failures. Raises UserError if one ended without a report.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run

    os.environ.update(plan.variables() | os.environ)
    wait_for_names(plan.hosts)
    try:
        run([*plan.arguments(), sys.argv[0], "--root", str(contract.root)])
    except SignalException:
        pass  # torch has passed the signal on to the processes, and they have ended
    except ChildFailedError as error:
        if not contract.failure.exists():
            rank, failure = error.get_first_failure()
            how = f"signal {failure.signal_name()}" if failure.exitcode < 0 else f"exit code {failure.exitcode}"
            raise UserError(
                f"process {rank} of the job was ended by {how}; SIGKILL usually means that memory ran out, and SIGABRT "
                "on GPUs that NCCL lost another process or its network"
            ) from error
    return int(contract.failure.exists())


def wait_for_names(hosts: Iterable[str], seconds: float = SECONDS_FOR_NAMES) -> None:
    """Wait until each host's name has an address, which takes a while. Raises UserError after `seconds`."""
    deadline = time.monotonic() + seconds
    for host in hosts:
        while True:
            try:
                socket.getaddrinfo(host, PORT)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise UserError(f"no address for the host {host!r} in {seconds:.0f} s: {error}") from error
                time.sleep(1)
