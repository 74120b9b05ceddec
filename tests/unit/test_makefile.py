"""What make would run: PyTorch's own index cannot be reached from here, so the installation itself is not run."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"^([a-z][\w.-]*)==([\w.]+)", re.MULTILINE)

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def recipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what make would run to install the locked requirements."""
    return subprocess.run(["make", "--dry-run", "--always-make", *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("environment", ["local", "dev"])
def test_without_cuda_all_but_its_packages_are_installed(environment):
    locked = dict(NAME.findall((ROOT / f"requirements/{environment}.txt").read_text()))
    lines = recipe(f".venv/{environment}", "TORCH=cpu").stdout.splitlines()
    (first,) = (line for line in lines if "--index-url https://download.pytorch.org/whl/cpu" in line)
    assert first.endswith(f" torch=={locked['torch']} torchvision=={locked['torchvision']}")
    (second,) = (line for line in lines if line.startswith("awk"))
    filtering, _, installing = second.partition(" | ")
    assert installing.endswith("--require-hashes --disable-pip-version-check -r /dev/stdin")
    kept = subprocess.run(filtering, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    left_out = locked.keys() - dict(NAME.findall(kept))
    assert {"torch", "torchvision", "triton", "cuda-bindings", "nvidia-cudnn-cu12"} <= left_out
    assert all(re.match("torch|triton|cuda-|nvidia-.*-cu12", name) for name in left_out)
    assert kept.count("--hash=sha256:") > len(locked)


def test_with_cuda_all_is_locked():
    lines = recipe(".venv/local").stdout.splitlines()
    assert any(
        line.endswith("--require-hashes --disable-pip-version-check -r requirements/local.txt") for line in lines
    )
    assert not any("index-url" in line for line in lines)


def test_another_torch_is_refused():
    assert "TORCH is gpu; accepted: cpu" in recipe(".venv/local", "TORCH=gpu").stderr


@pytest.mark.parametrize("target", ["demo", "bench-gpu", "recipe", "bench-multi"])
def test_a_folder_of_any_name_comes_to_the_program_as_it_is(target, tmp_path):
    """Quotes and backticks in DATA are not the shell's."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nfor given; do :; done; printf %s "$given"\n')
    python.chmod(0o755)
    folder = """it's "my"  `pics`; *"""
    command = ["make", "--silent", "--old-file=.venv/local", "--old-file=.venv/dev", target, f"BIN={tmp_path}"]
    done = subprocess.run([*command, f"DATA={folder}"], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (folder, "")
