"""A survey in numbers: the images of each class in each split, and their sizes."""

from typing import NamedTuple

import numpy as np

from classifier.training.checking.survey import Survey


class ClassCounts(NamedTuple):
    """A class's images by split, how many of them are unreadable, and the median and least of their shorter sides."""

    name: str
    images: dict[str, int]
    unreadable: int
    median_side: int
    least_side: int


def count_classes(survey: Survey) -> list[ClassCounts]:
    """Return the counts of every class, in the order of the classes."""
    dataset, k = survey.dataset, len(survey.dataset.classes)
    images = {
        phase.name: np.bincount(survey.labels[survey.phases == number], minlength=k)
        for number, phase in enumerate(dataset.phases)
    }
    unreadable = np.bincount(survey.labels[list(survey.unreadable)], minlength=k)
    sides, readable = survey.sides.min(1), survey.readable
    rows = []
    for number, name in enumerate(dataset.classes):
        own = sides[readable & (survey.labels == number)]
        median, least = (int(np.median(own)), int(own.min())) if len(own) else (0, 0)
        of_split = {split: int(counts[number]) for split, counts in images.items()}
        rows.append(ClassCounts(name, of_split, int(unreadable[number]), median, least))
    return rows
