"""What a job says of files and folders that are no images."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from classifier.training.data.files import Folder
from classifier.training.data.names import printable
from classifier.training.data.packed import unpacking
from classifier.words import plural

MOST_KINDS = 20


def broken_links(folders: Iterable[Folder]) -> list[str]:
    """Return a sentence about the links to nothing in class folders that are not named as images are."""
    links = [f"{folder}/{printable(name)}" for folder in folders for name in folder.contents.broken_links]
    return [f"{plural(len(links), 'link')} to nothing passed over, such as {links[0]}"] if links else []


def packed_files(folders: Iterable[Folder]) -> list[str]:
    """Return a sentence about the files that may hold more images, or a class or phase of them."""
    found = []
    for folder in folders:
        # One of each suffix: beside a million images there may be as many notes.
        names = {Path(name).suffix: name for name in reversed(folder.contents.others)}
        found += [(folder, name, advice) for name in names.values() if (advice := unpacking([name]))]
    if not found:
        return []
    (folder, name, advice), *others = found
    return [f"{folder}/{printable(name)} is not read{', nor are others like it' if others else ''}{advice}"]


def few_kinds(counts: Counter[str]) -> dict[str, int]:
    """Return the counts, of which the rarest are summed up: files may be numbered behind a point."""
    most = dict((+counts).most_common(MOST_KINDS))
    rest = counts.total() - sum(most.values())
    return most | ({"of other kinds": rest} if rest else {})
