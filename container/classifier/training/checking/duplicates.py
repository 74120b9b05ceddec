"""Groups of images that are the same: files with the same bytes, and pictures that look alike, mirrored ones too.

Two pictures look alike if their thumbnails of 16 x 16 grey values correlate: more recopied, scaled, grey and brighter
copies are found, and fewer different pictures, than with imagehash's hashes (benchmarks/diary.md).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from classifier.training.checking.looks import THUMBNAIL
from classifier.training.checking.survey import Survey

ALIKE = 0.99
# Flat thumbnails look like each other whatever the image shows.
LEAST_CONTRAST = 3.0
# Of one image: in a film's frames everything is alike, and one link to the others is enough.
MOST_LINKS = 50
# Of the comparisons that are made at a time.
BLOCK_BYTES = 8_000_000


def exact_groups(survey: Survey) -> list[list[int]]:
    """Return the positions of the images in each group of two or more files with the same contents."""
    positions: defaultdict[bytes, list[int]] = defaultdict(list)
    for position in np.flatnonzero(survey.readable).tolist():
        positions[survey.digests[position]].append(position)
    return [group for group in positions.values() if len(group) > 1]


def near_groups(survey: Survey, exact: Iterable[list[int]]) -> list[list[int]]:
    """Return the groups of pictures that look alike; of an `exact` group, its first image stands for all."""
    wanted = survey.readable.copy()
    for group in exact:
        wanted[group[1:]] = False
    positions = np.flatnonzero(wanted)
    vectors = survey.thumbnails[positions].astype(np.float32)
    varied = vectors.std(1) > LEAST_CONTRAST
    positions, vectors = positions[varied], vectors[varied]
    vectors -= vectors.mean(1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    parents = list(range(len(positions)))
    for one, other in _alike(vectors):
        parents[_root(parents, one)] = _root(parents, other)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, position in enumerate(positions.tolist()):
        groups[_root(parents, number)].append(position)
    return [group for group in groups.values() if len(group) > 1]


def _alike(vectors: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rows that look alike, as they are or mirrored, up to MOST_LINKS of a row."""
    rows = max(1, BLOCK_BYTES // (4 * max(1, len(vectors))))
    for start in range(0, len(vectors), rows):
        block = vectors[start : start + rows]
        mirrored = block.reshape(-1, THUMBNAIL, THUMBNAIL)[:, :, ::-1].reshape(block.shape)
        for turned in (block, mirrored):
            alike = turned @ vectors[: start + rows].T > ALIKE
            for row in np.flatnonzero(alike.any(1)).tolist():
                others = np.flatnonzero(alike[row, : start + row])[:MOST_LINKS]
                yield from ((start + row, other) for other in others.tolist())


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
