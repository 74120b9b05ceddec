"""A copy of the launch scripts and what they use: tests run them as a user does, and this checkout stays as it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers import NOBODY
from waits import PATIENCE_S

ROOT = Path(__file__).parents[1]


class Checkout:
    """The copy in `folder`. Its scripts run with `environ`, and with variables that keep them from AWS.

    As in many offices, a proxy is set, and nothing says that this computer needs none.
    """

    def __init__(self, folder: Path, **environ: str):
        self.folder = folder
        # The copy's packages come before this checkout's, which are installed.
        packages = os.pathsep.join([str(folder), str(folder / "container")])
        proxy = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
        self.environ = NOBODY | proxy | {"OMP_NUM_THREADS": "1", "PYTHONPATH": packages} | environ
        for name in ("container", "demo", "launch", "local"):
            ignore = shutil.ignore_patterns("weights", "__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore, dirs_exist_ok=True)

    def start(self, command: str, **environ: str) -> subprocess.Popen[str]:
        """Start `command`, in launch/ unless it names a folder, in a new process group and without a terminal."""
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
        """Return the exit code, standard output and standard error."""
        with self.start(command, **environ) as process:
            out, error = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, error

    def does(self, command: str) -> str:
        """Return the output of a command that must work."""
        code, out, error = self.run(command)
        assert code == 0, out + error
        return out

    def refuses(self, command: str, **environ: str) -> str:
        """Return the one sentence of a command that must fail."""
        code, out, error = self.run(command, **environ)
        assert code == 1, out + error
        (sentence,) = error.splitlines()
        return sentence
