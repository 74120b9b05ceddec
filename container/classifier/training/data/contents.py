"""What tells a data set from another one, or from what it was before."""

import hashlib
import json
import stat
from collections.abc import Iterable
from pathlib import Path

from classifier.training.data.folders import Phase

# Few enough to be read in seconds from a network disk, however large the files are.
FILES = 64
BYTES = 1 << 18


def hash_images(classes: Iterable[str], phases: Iterable[Phase]) -> str:
    """Return the hash, in hexadecimal, of the names and sizes of the images, their classes, and the contents of some.

    Names and sizes stay the same if two class folders change places. To read all images would take as long as an epoch.
    """
    parts = [(phase.name, phase.files, phase.labels, phase.sizes, hash_contents(phase)) for phase in phases]
    return hashlib.sha256(json.dumps([list(classes), parts]).encode()).hexdigest()


def hash_contents(phase: Phase) -> str:
    """Return the hash, in hexadecimal, of the first and last bytes of some files, spread evenly over `phase`."""
    digest = hashlib.sha256()
    count = min(FILES, len(phase))
    for number in range(count):
        digest.update(_ends(phase.folder / phase.files[number * len(phase) // count]))
    return digest.hexdigest()


def _ends(path: Path) -> bytes:
    """Return the hash of a file's ends, or of nothing if it cannot be read, of which training will tell."""
    digest = hashlib.sha256()
    try:
        state = path.stat()
        if stat.S_ISREG(state.st_mode):
            with path.open("rb") as file:
                digest.update(file.read(BYTES))
                file.seek(max(file.tell(), state.st_size - BYTES))
                digest.update(file.read(BYTES))
    except OSError:
        pass
    return digest.digest()
