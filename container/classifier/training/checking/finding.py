"""A fault of a data set, and which images its faults have a list leave out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from classifier.training.checking.survey import Survey

LEAK = "leak"


@dataclass(frozen=True)
class Finding:
    """A fault of a data set. `groups` are positions of images that belong together, such as copies.

    Of those, `leave_out` are better left out. Copies are not `exact` if they only look alike.
    """

    kind: str
    images: int
    what: str
    advice: str
    groups: list[list[int]] = field(default_factory=list)
    leave_out: frozenset[int] = frozenset()
    exact: bool = True


def list_left_out(survey: Survey, findings: Iterable[Finding]) -> dict[int, str]:
    """Return the positions of images to leave out, and of each the kind of its first finding.

    No class of a phase loses its last image.
    """
    kinds: dict[int, str] = {}
    for finding in findings:
        for position in sorted(finding.leave_out):
            kinds.setdefault(position, finding.kind)
    left = Counter(zip(survey.phases.tolist(), survey.labels.tolist(), strict=True))
    lost = Counter((int(survey.phases[position]), int(survey.labels[position])) for position in kinds)
    return {
        position: kind
        for position, kind in kinds.items()
        if lost[one := (int(survey.phases[position]), int(survey.labels[position]))] < left[one]
    }
