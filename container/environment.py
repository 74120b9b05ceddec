"""Make sure that a program has its packages, whatever Python started it.

Programs import this before anything else, so Python 3.6 must be able to read it and them: no types, no newer syntax.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

VENV = Path(__file__).resolve().parents[1] / ".venv"


def enter(*packages):
    """Return if this Python is new enough and has `packages`; else start the program again with .venv's Python.

    Exits with one sentence if .venv is not there, or lacks a package too, or if the working folder was removed.
    """
    try:
        Path.cwd()
    except OSError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: the working folder: {error.strerror}; cd to one that exists")
    if sys.version_info >= (3, 11) and all(map(has, packages)):
        return
    python = VENV / "bin" / "python"
    if os.access(str(python), os.X_OK) and Path(sys.prefix).resolve() != VENV.resolve():
        arguments = getattr(sys, "orig_argv", ["", *sys.argv])[1:]
        os.execv(str(python), [str(python), *arguments])
    sys.exit(Path(sys.argv[0]).stem + ": not installed yet: make demo, or for AWS make launch, installs what it needs")


def has(package):
    """Return whether `package` is installed. Looks only: an import may take seconds."""
    try:
        return find_spec(package) is not None
    except ValueError:  # it is switched off in sys.modules
        return False
