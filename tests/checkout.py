"""A copy of what the launch scripts use, to run them in as a user does, so that nothing is written into this one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers import NOBODY
from waits import PATIENCE_S

ROOT = Path(__file__).parents[1]


class Checkout:
    """The copy in `folder`, whose scripts run with `environ` besides what keeps them from AWS."""

    def __init__(self, folder: Path, **environ: str):
        self.folder = folder
        # The copy's packages, and not those of this checkout, which are installed.
        packages = os.pathsep.join([str(folder), str(folder / "container")])
        self.environ = NOBODY | {"OMP_NUM_THREADS": "1", "PYTHONPATH": packages} | environ
        for name in ("container", "demo", "launch", "local"):
            ignore = shutil.ignore_patterns("weights", "__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore, dirs_exist_ok=True)

    def start(self, command: str, **environ: str) -> subprocess.Popen[str]:
        """Start `command`, launch/'s where it names no folder, in a process group of its own and with no terminal."""
        script, *arguments = command.split()
        return subprocess.Popen(
            [sys.executable, script if "/" in script else f"launch/{script}", *arguments],
            env=os.environ | self.environ | environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, **environ: str) -> tuple[int, str, str]:
        """The exit code, standard output and standard error."""
        with self.start(command, **environ) as process:
            out, error = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, error

    def does(self, command: str) -> str:
        """The output of a command that must work."""
        code, out, error = self.run(command)
        assert code == 0, out + error
        return out

    def refuses(self, command: str, **environ: str) -> str:
        """The one sentence of a command that must not work."""
        code, out, error = self.run(command, **environ)
        assert code == 1, out + error
        (sentence,) = error.splitlines()
        return sentence
