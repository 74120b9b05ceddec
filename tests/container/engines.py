"""The container engine of the tests: docker or podman if it answers; for root, podman with a configuration from here.

A bare machine has no Docker daemon, and perhaps no image registry to pull from. For root, podman has its configuration
and its storage in the user's cache folder. If the official base image cannot be pulled, a stand-in made of Debian's
packages takes its name.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from waits import PATIENCE_S

BASE_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "resnet18-container-tests")
# In memory, so that podman notices a restart of the machine, and short: it refuses more than 50 characters.
RUN = Path("/run", f"container-tests-{zlib.crc32(bytes(CACHE)):x}")

# crun fails where cgroups are mixed, systemd may be absent, and the default limits can exceed what root may set.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[network]
network_backend = "netavark"
network_config_dir = "{cache}/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# Not vfs, which holds the whole image once for each layer.
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{cache}/storage"
runroot = "{run}"
"""


class UnavailableError(Exception):
    """There is no engine, or no base image; the message says why."""


@dataclass(frozen=True)
class Engine:
    """docker or podman, with the environment and the build flags that it needs on this machine."""

    name: str
    environ: dict[str, str] = field(default_factory=os.environ.copy)
    build_flags: tuple[str, ...] = ()
    base: str = "the official base image"

    def run(self, *arguments: str | Path, check: bool = True, timeout: float = PATIENCE_S, **options):
        """Run the engine's command line; `stdout` of the result has its output and its errors."""
        # In the cache folder: runc leaves a file named oom in the current one when memory runs out.
        result = subprocess.run(
            [self.name, *map(str, arguments)],
            **{"cwd": CACHE, "stderr": subprocess.STDOUT} | options,
            **{"env": self.environ, "stdout": subprocess.PIPE, "text": True, "timeout": timeout},
        )
        assert not check or result.returncode == 0, f"{self.name} {arguments}: {result.stdout}"
        return result

    def answers(self) -> bool:
        return shutil.which(self.name) is not None and self.run("info", check=False).returncode == 0


def choose() -> Engine:
    """Return the first engine that answers, ready to build. Raises UnavailableError if none does."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for engine in (Engine("docker"), _podman()):
        if engine.answers():
            return engine if engine.name == "docker" else _with_base_image(engine)
    raise UnavailableError("neither docker nor podman answers on this machine")


def _podman() -> Engine:
    if os.geteuid() != 0:
        return Engine("podman")  # as its user has set it up
    environ = os.environ | {
        "CONTAINERS_CONF": _write("containers.conf", CONTAINERS_CONF.format(cache=CACHE)),
        "CONTAINERS_STORAGE_CONF": _write("storage.conf", STORAGE_CONF.format(cache=CACHE, run=RUN)),
    }
    return Engine("podman", environ, tuple(_package_index_flags()))


def _write(name: str, text: str) -> str:
    path = CACHE / name
    path.write_text(text)
    return str(path)


def _with_base_image(podman: Engine) -> Engine:
    if podman.run("image", "exists", BASE_IMAGE, check=False).returncode != 0:
        pull = podman.run("pull", "--quiet", BASE_IMAGE, check=False, timeout=PATIENCE_S)
        if pull.returncode != 0:
            _import_stand_in(podman, pull.stdout.strip().splitlines()[-1])
    stand_in = podman.run("inspect", "--format={{.Comment}}", BASE_IMAGE).stdout.strip()
    return Engine(podman.name, podman.environ, ("--pull=never", *podman.build_flags), stand_in or podman.base)


def _import_stand_in(podman: Engine, reason: str) -> None:
    if not shutil.which("mmdebstrap") or os.geteuid() != 0:
        raise UnavailableError(f"no base image ({reason}), and without mmdebstrap and root no stand-in for it")
    tar = CACHE / "base.tar"
    # pip refuses to install beside Debian's packages unless that one file is gone.
    hook = 'rm -f "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED; ln -sf python3 "$1"/usr/bin/python'
    packages = "ca-certificates,python3,python3-pip"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", f"--customize-hook={hook}"]
    subprocess.run([*command, "bookworm", tar], check=True, timeout=PATIENCE_S)
    changes = ("--change=ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "--change=CMD bash")
    message = "--message=a stand-in for the official base image: Debian bookworm with its own Python 3.11"
    podman.run("import", "--quiet", *changes, message, tar, BASE_IMAGE)
    tar.unlink()


def _package_index_flags() -> list[str]:
    """Return flags that give this machine's pip settings to a build, so that no index is named in the Dockerfile."""
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True)
    found = re.findall(r"^(?::env:|global|install)\.([\w-]+)=(.*)$", listing.stdout, re.MULTILINE)
    settings = {name: ast.literal_eval(value) for name, value in found}
    kept = ("cert", "index-url", "extra-index-url", "find-links", "trusted-host", "proxy")
    settings = {name: value for name, value in settings.items() if name in kept}
    mounts = {path: path for value in settings.values() for path in map(_local_folder, value.split()) if path}
    certificates = settings.get("cert") or os.environ.get("SSL_CERT_FILE")
    if certificates and Path(certificates).is_file():
        settings["cert"] = "/run/build-ca.crt"
        mounts[os.path.realpath(certificates)] = settings["cert"]
    lines = [f"{name} = {' '.join(value.split())}\n" for name, value in settings.items()]
    mounts[_write("pip.conf", "[global]\n" + "".join(lines))] = "/etc/pip.conf"
    return [f"--volume={source}:{target}:ro" for source, target in mounts.items()]


def _local_folder(address: str) -> str | None:
    path = Path(address.removeprefix("file://"))
    if not path.is_absolute() or not path.is_dir():
        return None
    return str(path.parent if path.name == "simple" else path)  # an index's pages point to files beside it
