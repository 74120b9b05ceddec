"""Make sure that a program has its packages, whatever Python started it.

Programs import this before anything else, so Python 3.6 must be able to read it and them: no types, no newer syntax.
"""

import os
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

VENV = Path(__file__).resolve().parents[1] / ".venv"
HERE = "localhost,127.0.0.1,127.0.0.0/8,::1,0.0.0.0," + socket.gethostname()


def enter(*packages):
    """Return if this Python is new enough and has `packages`; else start the program again with .venv's Python.

    Standard streams that a shell has closed are opened, and hold nothing. No proxy is asked for this computer. Names of
    files are UTF-8, whatever the locale. Ctrl-C ends the program without a word while it imports its packages.

    Exits with one sentence if .venv is not there, or lacks a package too, or if the working folder was removed.
    """
    open_closed_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # until a program has its own: nothing has begun
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    ask_no_proxy_for_this_computer()
    try:
        Path.cwd()
    except OSError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: the working folder: {error.strerror}; cd to one that exists")
    in_utf8 = sys.getfilesystemencoding().lower() == "utf-8" or os.environ.get("PYTHONUTF8") == "1"
    os.environ.update({} if in_utf8 else {"PYTHONUTF8": "1"})  # which Python reads at its start, unless it is isolated
    if sys.version_info >= (3, 11) and all(map(has, packages)):
        if not in_utf8:
            start_again(sys.executable)
        return
    python = VENV / "bin" / "python"
    if os.access(str(python), os.X_OK) and Path(sys.prefix).resolve() != VENV.resolve():
        start_again(str(python))
    sys.exit(Path(sys.argv[0]).stem + ": not installed yet: make demo, or for AWS make launch, installs what it needs")


def start_again(python):
    """Start this program again, with its arguments, in this process."""
    os.environ.pop("PYTHONHOME", None)  # it is another Python's, and would take .venv's packages away
    arguments = getattr(sys, "orig_argv", ["", *sys.argv])[1:]
    os.execv(python, [python, *arguments])


def open_closed_streams():
    """Connect each closed standard stream to nothing: else the next file opened would be it, and hold what is printed.

    Python has None for such a stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def ask_no_proxy_for_this_computer():
    """Add this computer to no_proxy, in this program and those that it starts: many shells set http_proxy alone."""
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if others != "*" and HERE not in others:
        others = ",".join(filter(None, (others, HERE)))
    os.environ.update(no_proxy=others, NO_PROXY=others)


def has(package):
    """Return whether `package` is installed. Looks only: an import may take seconds."""
    try:
        return find_spec(package) is not None
    except ValueError:  # it is switched off in sys.modules
        return False
