"""Fixtures that more than one test file needs."""

import shutil
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from classifier import network
from classifier.artifact import Artifact
from classifier.training.artifact_files import save_artifact
from helpers import NOBODY
from waits import LIMIT_S

# A folder's name may have a comma, quotes and letters beyond ASCII.
CLASSES = ("mops", "Käse, alt", 'a "b"', "狗", "e", "f", "g")
IMAGE_SIZE = 32


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Limit every test to LIMIT_S, if --timeout does not, and give the processes that it starts the usual signals."""
    if config.option.timeout is None:
        config.option.timeout = LIMIT_S
    # After nohup, or in the background of a script, some are ignored, and would be in every process that a test starts.
    # A handler is not handed on, and this one keeps ignoring them here.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test, and the processes it starts, from AWS and any other host."""
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)
    urllib.request.install_opener(None)  # else urlopen keeps the proxies of its first call
    connect = socket.socket.connect

    def connect_here(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise PermissionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="module")
def module_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tmp_path for a whole test file, removed after it: the checkpoints of all jobs would fill a small disk."""
    folder = tmp_path_factory.mktemp("module")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def artifact_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT/model with an artifact of random weights; tests must not write to it."""
    from classifier.training.export_onnx import add_onnx  # with OpenVINO, which a machine with a GPU may lack

    folder = tmp_path_factory.mktemp("root") / "model"
    torch.manual_seed(0)
    weights = network.build(len(CLASSES), eps=1e-5).state_dict()
    save_artifact(folder, Artifact(classes=CLASSES, image_size=IMAGE_SIZE, eps=1e-5), weights)
    add_onnx(folder)
    return folder
