"""Which models are loaded or being loaded, kept by the master: a worker that is killed leaves them to the next one."""

import json
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Planned(NamedTuple):
    """A model's folder, how many processes have ended while they loaded it, and a digest of what was loaded, if any."""

    url: str
    cuts: int
    digest: str = ""


class Journal:
    """Models by their names, in a file without a name that all of the master's children share."""

    def __init__(self):
        """Make an empty journal; for the master, before it forks."""
        self._file, path = tempfile.mkstemp()
        Path(path).unlink()
        self._lock = threading.Lock()

    def write(self, planned: Callable[[], dict[str, Planned]]) -> None:
        """Replace all entries by those that `planned` returns now."""
        with self._lock:
            line = json.dumps(planned()).encode() + b"\n"
            os.pwrite(self._file, line, 0)
            os.truncate(self._file, len(line))

    def read(self) -> dict[str, Planned]:
        """Return all entries; none if a worker was killed while it wrote them."""
        text = os.pread(self._file, os.fstat(self._file).st_size, 0).partition(b"\n")[0]
        try:
            return {name: Planned(*entry) for name, entry in json.loads(text).items()}
        except ValueError:
            return {}
