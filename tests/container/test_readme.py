"""The lines of docs/image.md that run the image, run exactly as written."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from classifier import artifact
from datasets import QUICK, digit_jpegs, write_channel, write_hyperparameters
from helpers import encode, photo
from waits import PATIENCE_S, wait_until

from .conftest import ROOT

NAME = "sagemaker-resnet18"
# The command docker runs the engine of these tests, and replaces the image's name with that of the image they built.
DOCKER = """#!/bin/sh
for word; do
    shift
    [ "$word" = {name} ] && word={image}
    set -- "$@" "$word"
done
exec {engine} "$@"
"""


def documented_commands() -> list[str]:
    """Return the lines that start with docker or curl in docs/image.md."""
    text = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(("docker ", "curl "))]


@pytest.fixture
def folder(image, tmp_path) -> Path:
    """Return a folder with what the lines need: data, a photo, and a command docker."""
    write_channel(tmp_path / "opt_ml", "train", digit_jpegs(range(2), 0, 40))
    write_hyperparameters(tmp_path / "opt_ml", **QUICK)
    (tmp_path / "dog.jpg").write_bytes(encode(photo(300, 200)))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER.format(name=NAME, image=image.name, engine=image.engine.name))
    (tmp_path / "bin" / "docker").chmod(0o755)
    return tmp_path


def test_the_lines_work_as_they_are_written(image, folder):
    environ = image.engine.environ | {"PATH": f"{folder / 'bin'}:{image.engine.environ['PATH']}"}
    how = {"env": environ, "cwd": folder, "text": True}
    lines = documented_commands()
    train, serve, ask, remove = lines
    assert (train.split()[-1], serve.split()[-1], ask.split()[0]) == ("train", "serve", "curl")

    subprocess.run(train, shell=True, check=True, timeout=PATIENCE_S, **how)
    assert artifact.read(folder / "opt_ml" / "model").classes == ("digit-0", "digit-1")

    server = subprocess.Popen(["bash", "-c", f"exec {serve}"], stderr=subprocess.PIPE, **how)
    try:
        wait_for_ping(server)
        answer = subprocess.run(ask, shell=True, check=True, timeout=PATIENCE_S, stdout=subprocess.PIPE, **how)
        assert {one["class"] for one in json.loads(answer.stdout)["predictions"]} == {"digit-0", "digit-1"}
    finally:
        server.terminate()
        _, log = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == 0, log

    subprocess.run(remove, shell=True, check=True, timeout=PATIENCE_S, **how)
    assert not (folder / "opt_ml").exists()


def wait_for_ping(server: subprocess.Popen) -> None:
    def answers() -> bool:
        assert server.poll() is None, server.stderr.read()
        try:
            urllib.request.urlopen("http://localhost:8080/ping", timeout=2).close()
        except OSError:
            return False
        return True

    wait_until(answers, "/ping answers 200")
