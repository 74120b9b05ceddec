"""Images that are in a data set more than once: in several splits or classes, mirrored, as a scene, or twice."""

from collections.abc import Iterator

import numpy as np

from classifier.training.checking.duplicates import exact_groups, near_groups
from classifier.training.checking.finding import LEAK, Finding
from classifier.training.checking.survey import Survey
from classifier.training.data.names import quoted
from classifier.words import is_are, plural

# Pictures that look alike and are more than this are no copies, but photos of a fixed camera or frames of a film.
MOST_COPIES = 10


class Copies:
    """The groups of a survey's images that are the same file, `exact`, or look alike, `near`.

    `scenes` are groups of many that look alike in several splits or classes, and `mirrored` those that are mirror
    images of pictures of another class.
    """

    def __init__(self, survey: Survey):
        self.survey = survey
        self.exact = exact_groups(survey)
        near, self.mirrored = near_groups(survey, self.exact)
        self.splits = splits_of(survey)
        self.places = self.splits.astype(np.int64) * len(survey.dataset.classes) + survey.labels
        self.scenes = [group for group in near if self._is_scene(group)]
        self.near = [group for group in near if not self._is_scene(group)]

    def find_leaks(self) -> Iterator[Finding]:
        """Find images that are in several splits: the later split's score then says nothing about them."""
        splits, names = self.splits, [phase.name for phase in self.survey.dataset.phases]
        for groups, is_exact in ((self.exact, True), (self.near, False)):
            leaking = [group for group in groups if len(set(splits[group])) > 1]
            for split in (2, 1):
                own = [group for group in leaking if split in splits[group] and splits[group].min() < split]
                if not own:
                    continue
                affected = sum(int((splits[group] == split).sum()) for group in own)
                of_split, others = int((splits == split).sum()), " or ".join(names[:split])
                # What is in two classes too may be no copy, and whose label is wrong is not known.
                copies = (
                    one for group in own if len(self._classes(group)) == 1 for one in group if splits[one] < split
                )
                what = "also in" if is_exact else "almost the same as one in"
                is_or_may = "is then" if is_exact else "may then be"
                yield Finding(
                    LEAK,
                    affected,
                    f"{affected} of the {plural(of_split, f'{names[split]} image')} {is_are(affected)} {what} {others}",
                    f"the {names[split]} score {is_or_may} too good: leave the copies out of {others}",
                    own,
                    frozenset(copies),
                    is_exact,
                )

    def find_two_labels(self) -> Iterator[Finding]:
        """Find images that are in two classes."""
        for groups, is_exact in ((self.exact, True), (self.near, False)):
            own = [group for group in groups if len(self._classes(group)) > 1]
            if not own:
                continue
            count = sum(map(len, own))
            what = "the same file is" if is_exact else "pictures that look alike are"
            leave_out = ", or leave all out, since the label is not known" if is_exact else ""
            yield Finding(
                "two labels",
                count,
                f"{plural(count, 'image')} with two labels: {what} in two classes, such as {self._named(own[0])}",
                f"keep each in its right class{leave_out}",
                own,
                frozenset(one for group in own for one in group) if is_exact else frozenset(),
            )

    def find_mirrored(self) -> Iterator[Finding]:
        """Find images that are mirror images of those in another class, which the standard augmentation makes equal."""
        if not self.mirrored:
            return
        count = sum(map(len, self.mirrored))
        yield Finding(
            "mirrored",
            count,
            f"{plural(count, 'image is a mirror image', 'images are mirror images')} of pictures in another class, "
            f"such as {self._named(self.mirrored[0])}",
            "if left and right tell the classes apart, set augmentation=none, since standard flips images at random; "
            "otherwise keep each in its right class",
            self.mirrored,
        )

    def find_scenes(self) -> Iterator[Finding]:
        """Find groups of many images that look alike, in several splits or classes."""
        if not self.scenes:
            return
        count, scenes = sum(map(len, self.scenes)), plural(len(self.scenes), "scene")
        yield Finding(
            "scene",
            count,
            f"{plural(count, 'image')} are of {scenes}: more than {MOST_COPIES} of each look almost the same, "
            "as from a fixed camera or a film",
            "if they are frames of a film or changed copies, keep each scene in one split, or the score is too good; "
            "photos of a fixed camera may stay",
            self.scenes,
        )

    def find_repeated(self) -> Iterator[Finding]:
        """Find images that are in a class of a split more than once."""
        set_aside = self.survey.dataset.split_from_train
        from_train = "; validation is set aside from train, and its score is too good with them" if set_aside else ""
        for groups, is_exact in ((self.exact, True), (self.near, False)):
            own = [group for group in groups if len(set(self.places[group])) == 1]
            if not own:
                continue
            count = sum(len(group) - 1 for group in own)
            copies = plural(count, "copy of an image", "copies of an image")
            advice = "leave them out, since they count twice" if is_exact else "look whether they add anything"
            yield Finding(
                "copies",
                count,
                f"{copies} in its class, {'the same file' if is_exact else 'almost the same'}",
                advice + from_train,
                own,
                frozenset(one for group in own for one in group[1:]) if is_exact else frozenset(),
            )

    def _is_scene(self, group: list[int]) -> bool:
        return len(group) > MOST_COPIES and len(set(self.places[group])) > 1

    def _classes(self, group: list[int]) -> list[int]:
        return sorted(set(self.survey.labels[group]))

    def _named(self, group: list[int]) -> str:
        return quoted(*(self.survey.dataset.classes[label] for label in self._classes(group)))


def splits_of(survey: Survey) -> np.ndarray:
    """Return the position of each image's split (n,): validation is no split if it is set aside from train."""
    return np.where(survey.phases == 1, 0, survey.phases) if survey.dataset.split_from_train else survey.phases
