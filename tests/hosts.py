"""Two hosts of a training job on one machine: network namespaces with a cable between them, and names."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

NAMES = ("algo-1", "algo-2")
# The names are in a file of the test, which is mounted over /etc/hosts for this process only.
WITH_NAMES = 'mount --bind "$0" /etc/hosts && exec "$@"'


class Hosts:
    """Each host has its own network, and SageMaker's folders below `root`/NAME."""

    def __init__(self, root: Path):
        self.root = root
        self.names = root / "hosts"
        self.spaces = {name: f"{name}-{os.getpid()}" for name in NAMES}

    def start(self, name: str, program: list[str]) -> subprocess.Popen:
        """Run `program` with this Python on the host `name`."""
        config = self.root / name / "input/config/resourceconfig.json"
        resources = {"current_host": name, "hosts": NAMES, "network_interface_name": "eth0", "topology": None}
        config.write_text(json.dumps(resources))
        inside = ["unshare", "--mount", "sh", "-c", WITH_NAMES, str(self.names), sys.executable, *program]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.spaces[name], *inside],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def know(self, *names: str) -> None:
        """Let the hosts know the addresses of `names`, and of no others."""
        lines = (f"10.77.0.{NAMES.index(name) + 1} {name}\n" for name in names)
        self.names.write_text("127.0.0.1 localhost\n" + "".join(lines))

    def lose(self, name: str) -> None:
        """Kill every process on the host at once."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.spaces[name]], capture_output=True, text=True, check=True
        ).stdout
        for pid in map(int, found.split()):
            os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def silence(self, name: str):
        """Take the host's network down, and up again in the end."""
        ip("-n", self.spaces[name], "link", "set", "eth0", "down")
        try:
            yield
        finally:
            ip("-n", self.spaces[name], "link", "set", "eth0", "up")


@contextlib.contextmanager
def two_hosts(root: Path):
    """Yield Hosts. Raises PermissionError, with the reason, if network namespaces cannot be made here."""
    hosts = Hosts(root)
    try:
        lay_cable(hosts)
        yield hosts
    finally:
        for space in hosts.spaces.values():
            subprocess.run(["ip", "netns", "delete", space], capture_output=True, check=False)


def lay_cable(hosts: Hosts) -> None:
    first, second = hosts.spaces.values()
    for space in (first, second):
        ip("netns", "add", space)
        ip("-n", space, "link", "set", "lo", "up")
    ip("-n", first, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", second)
    for number, space in enumerate((first, second), 1):
        ip("-n", space, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")


def ip(*arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise PermissionError("network namespaces need ip, of iproute2") from error
    except subprocess.CalledProcessError as error:
        raise PermissionError(f"ip {' '.join(arguments)}: {error.stderr.strip()}") from error
