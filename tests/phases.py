"""Phases of photos for the tests of what reads them."""

from pathlib import Path

from classifier.training.data.folders import Phase
from helpers import encode, photo


def write_phase(folder: Path, name: str = "validation") -> Phase:
    """Write ten photos of two classes, of which the fourth is truncated."""
    files = []
    for number in range(10):
        path = folder / f"class{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        content = encode(photo(90, 60, seed=number))
        path.write_bytes(content[: len(content) // 2] if number == 3 else content)
        files.append(f"class{number % 2}/{number}.jpg")
    return Phase(name, folder, tuple(files), tuple(number % 2 for number in range(10)), {})
