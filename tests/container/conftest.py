"""The image, built once for all tests of this tier, with weights from a server on this machine."""

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torchvision

from waits import LIMIT_S

from . import engines
from .engines import CACHE, Engine

ROOT = Path(__file__).parents[2]
NAME = "sagemaker-resnet18-test"
# The first test waits for the image: some minutes from nothing, seconds from cached layers.
BUILD_LIMIT_S = 2 * LIMIT_S
CHOSEN = pytest.StashKey[Engine]()


@pytest.fixture
def no_network():
    """Let these tests use the network: they build and push an image."""


def build(engine: Engine, checkout: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Make and check the image NAME:test as build_and_push.sh in `checkout` does."""
    command = [checkout / "build_and_push.sh", "--no-push", "--name", name, "--tag", "test", "--", *options]
    return subprocess.run(command, env=engine.environ, cwd=CACHE, capture_output=True, text=True, timeout=BUILD_LIMIT_S)


@dataclass(frozen=True)
class Image:
    """The built image, and the options it was built with."""

    engine: Engine
    name: str
    build_options: tuple[str, ...]

    def run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a container without a network to its end; `arguments` are options, IMAGE, and a command."""
        named = [self.name if argument == "IMAGE" else argument for argument in arguments]
        return self.engine.run("run", "--rm", "--network=none", *named, check=check)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.container)
            item.add_marker(pytest.mark.timeout(BUILD_LIMIT_S))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if engine := config.stash.get(CHOSEN, None):
        terminalreporter.line(f"container tests ran with {engine.name}, on {engine.base}")


def unavailable(reason: str) -> None:
    """Skip the test, or fail it if REQUIRE_CONTAINER=1 says that this tier must run."""
    if os.environ.get("REQUIRE_CONTAINER") == "1":
        pytest.fail(f"REQUIRE_CONTAINER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine(pytestconfig) -> Engine:
    try:
        pytestconfig.stash[CHOSEN] = engines.choose()
    except engines.UnavailableError as error:
        unavailable(str(error))
    return pytestconfig.stash[CHOSEN]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="session")
def weights_options(tmp_path_factory):
    """Build options for a weights file on this machine's server: ImageNet's shapes, random values."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), folder / "random.pth")
    sha256 = hashlib.sha256((folder / "random.pth").read_bytes()).hexdigest()
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/random.pth"
        yield f"--build-arg=WEIGHTS_URL={url}", f"--build-arg=WEIGHTS_SHA256={sha256}"
        server.shutdown()


@pytest.fixture(scope="session")
def image(engine, weights_options) -> Image:
    options = (*engine.build_flags, "--network=host", *weights_options)
    built = build(engine, ROOT, NAME, *options)
    assert built.returncode == 0, built.stderr[-5000:]
    yield Image(engine, built.stdout.strip(), options)
    if engine.name == "podman":
        engine.run("image", "prune", "--force", check=False)  # layers of earlier images


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of everything that the image is built from and with, which tests may change."""
    copy = tmp_path / "checkout"
    for file in ("build_and_push.sh", "Dockerfile", ".dockerignore", "requirements/image.txt"):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, copy / file)
    ignored = shutil.ignore_patterns("weights", "__pycache__")
    shutil.copytree(ROOT / "container", copy / "container", ignore=ignored)
    return copy
