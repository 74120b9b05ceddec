"""The unreadable images of a job: each is named once in the log, and too many of a phase end the job."""

import logging

from classifier.errors import UserError
from classifier.training.data.batch import Batch
from classifier.training.data.folders import Phase
from classifier.training.data.names import printable, quoted
from classifier.training.parallel.processes import Group
from classifier.words import is_are, percent, plural

logger = logging.getLogger(__name__)
# More unreadable images than this share of a phase are no accident.
MOST_SKIPPED = 0.1


class SkippedImages:
    """Maps each phase's name to its unreadable files and the reasons."""

    def __init__(self):
        self.reasons: dict[str, dict[str, str]] = {}

    def add(self, phase: Phase, batch: Batch) -> None:
        """Record what `batch` skipped. Raises UserError if more than MOST_SKIPPED of `phase` are unreadable."""
        reasons = self.reasons.setdefault(phase.name, {})
        for position, reason in batch.skipped.items():
            name = phase.shown(position)
            if name not in reasons:
                reasons[name] = printable(reason)
                logger.warning("skipped %s image %s: %s", phase.name, name, reasons[name])
        if len(reasons) > max(1, MOST_SKIPPED * len(phase)) or len(reasons) == len(phase):
            name, reason = next(iter(reasons.items()))
            raise UserError(
                f"{len(reasons)} of {plural(len(phase), f'{phase.name} image')} {is_are(len(reasons))} unreadable, "
                f"the first {name} ({reason}); accepted: one, or up to {percent(MOST_SKIPPED)}"
            )

    def check_classes(self, phase: Phase, classes: tuple[str, ...]) -> None:
        """Raise UserError if every image of one of the `classes` in `phase` was skipped: nothing is learned of it."""
        reasons = self.reasons.get(phase.name)
        if not reasons:
            return
        readable, first = set(), {}
        for position, label in enumerate(phase.labels):
            if (name := phase.shown(position)) in reasons:
                first.setdefault(label, name)
            else:
                readable.add(label)
        if lost := first.keys() - readable:
            label = min(lost)
            raise UserError(
                f"no {phase.name} image of the class {quoted(classes[label])} is readable, such as {first[label]} "
                f"({reasons[first[label]]}); accepted: at least one readable image in each class"
            )

    def share(self, group: Group) -> None:
        """Add those that the other processes of the `group` met."""
        for others in group.gather(self.reasons):
            for phase, reasons in others.items():
                self.reasons.setdefault(phase, {}).update(reasons)

    def state_dict(self) -> dict[str, dict[str, str]]:
        return self.reasons

    def load_state_dict(self, state: dict[str, dict[str, str]]) -> None:
        self.reasons = {phase: dict(reasons) for phase, reasons in state.items()}

    def rows(self) -> list[tuple[str, str, str]]:
        """Return phase, file and reason of each image."""
        return [(phase, name, why) for phase, reasons in self.reasons.items() for name, why in sorted(reasons.items())]
