"""Groups of images that are the same: files with the same bytes, and pictures that look alike, mirrored ones too.

Two pictures may be alike if their thumbnails of 16 x 16 grey values correlate: more recopied, scaled, grey and brighter
copies are found, and fewer different pictures, than with imagehash's hashes (benchmarks/diary.md). Of such a pair the
details decide.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from classifier.training.checking.components import Components
from classifier.training.checking.details import are_copies
from classifier.training.checking.looks import THUMBNAIL
from classifier.training.checking.survey import Survey

ALIKE = 0.99
# Flat thumbnails look like each other whatever the image shows.
LEAST_CONTRAST = 3.0
# Of one image, those that correlate most: of a fixed camera all photos do, and comparing all would take hours.
MOST_LINKS = 20
# Of the comparisons that are made at a time.
BLOCK_BYTES = 8_000_000


class Near(NamedTuple):
    """Groups of pictures that look alike, and of those that are mirror images of pictures of another class."""

    groups: list[list[int]]
    mirrored: list[list[int]]


def exact_groups(survey: Survey) -> list[list[int]]:
    """Return the positions of the images in each group of two or more files with the same contents."""
    positions: defaultdict[bytes, list[int]] = defaultdict(list)
    for position in np.flatnonzero(survey.readable).tolist():
        positions[survey.digests[position]].append(position)
    return [group for group in positions.values() if len(group) > 1]


def near_groups(survey: Survey, exact: Iterable[list[int]]) -> Near:
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
    alike, mirrored = Components(len(positions)), Components(len(positions))
    for turned in (False, True):
        for pairs in _candidates(vectors, turned):
            # Whatever is joined already needs no look at its details, which take most of the time.
            unjoined = [(one, other) for one, other in pairs if alike.of(one) != alike.of(other)]
            for one, other in _confirmed(survey, positions, unjoined, turned):
                same_class = survey.labels[positions[one]] == survey.labels[positions[other]]
                (mirrored if turned and not same_class else alike).join(one, other)
    return Near(*(components.named(positions.tolist()) for components in (alike, mirrored)))


def _candidates(vectors: np.ndarray, turned: bool) -> Iterator[list[tuple[int, int]]]:
    """Yield lists of pairs of rows that correlate, mirrored if `turned`, up to MOST_LINKS of a row, the best first."""
    rows = max(1, BLOCK_BYTES // (4 * max(1, len(vectors))))
    for start in range(0, len(vectors), rows):
        block = vectors[start : start + rows]
        if turned:
            block = block.reshape(-1, THUMBNAIL, THUMBNAIL)[:, :, ::-1].reshape(block.shape)
        yield from filter(None, _best(block @ vectors[: start + rows].T, start))


def _best(alike: np.ndarray, start: int) -> list[list[tuple[int, int]]]:
    """Return the best pair of each row that is above ALIKE, then the second best, and so on; rows begin at `start`."""
    lists: list[list[tuple[int, int]]] = [[] for _ in range(MOST_LINKS)]
    for row in np.flatnonzero((alike > ALIKE).any(1)).tolist():
        others = np.flatnonzero(alike[row, : start + row] > ALIKE)
        best = others[np.argsort(-alike[row, others], kind="stable")[:MOST_LINKS]]
        for rank, other in enumerate(best.tolist()):
            lists[rank].append((start + row, other))
    return lists


def _confirmed(
    survey: Survey, positions: np.ndarray, pairs: list[tuple[int, int]], turned: bool
) -> Iterator[tuple[int, int]]:
    """Yield those of the pairs whose details are the same."""
    if not pairs:
        return
    ones, others = (survey.details[positions[list(numbers)]] for numbers in zip(*pairs, strict=True))
    for pair, is_copy in zip(pairs, are_copies(ones[:, :, ::-1] if turned else ones, others), strict=True):
        if is_copy:
            yield pair
