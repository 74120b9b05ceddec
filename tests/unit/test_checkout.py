"""A checkout that was moved or copied with its .venv imports its own packages."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHERE = "import classifier, local; print(classifier.__path__[0], local.__path__[0], sep='\\n')"


def test_a_moved_or_copied_checkout_imports_its_own_packages(tmp_path):
    old, moved, copied = (tmp_path / name for name in ("old", "moved", "copied"))
    for package in ("container/classifier", "local", "requirements"):
        (old / package).mkdir(parents=True)
        (old / package / "__init__.py").touch()
    for file in ("Makefile", "pyproject.toml", "requirements/local.txt"):
        shutil.copyfile(ROOT / file, old / file)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=old, check=True)
    planned = subprocess.run(["make", "-n", "-B", ".venv/local"], cwd=old, capture_output=True, text=True, check=True)
    (linking,) = (line for line in planned.stdout.splitlines() if "checkout.pth" in line)
    subprocess.run(linking, shell=True, cwd=old, check=True)
    old.rename(moved)
    shutil.copytree(moved, copied, symlinks=True)
    for checkout in (moved, copied):
        command = [checkout / ".venv/bin/python", "-c", WHERE]
        found = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert found.splitlines() == [str(checkout / "container/classifier"), str(checkout / "local")]
