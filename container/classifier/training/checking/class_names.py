"""Class names that may stand for another class: copies of a folder, other spellings, and names of phases."""

import re
from collections import defaultdict
from collections.abc import Iterable

from classifier.training.data.names import look
from classifier.training.data.split_names import phases_of

# What macOS, Windows, Linux and people put behind or before the name of a copy.
COPY = re.compile(
    r"(.+?)(?:[ _-]*\(\d+\)|[ _-]+(?:copy|kopie|copie|copia|cópia)[ _-]*(?:\d+|\(\d+\))?)|"
    r"(?:copy of|kopie von|copie de|copia de|cópia de) (.+)"
)
WITHOUT_LABELS = {"unlabeled", "unlabelled", "unsup", "pred", "predict", "prediction", "inference"}
SEPARATORS = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")


def same_classes(classes: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that are the same but for case, forms of letters, separators and marks of a copy."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        groups[_essence(name)].append(name)
    return [names for names in groups.values() if len(names) > 1]


def phase_names(classes: Iterable[str]) -> list[str]:
    """Return the names that a folder of train, validation or test images could have too, or one without labels."""
    return [name for name in classes if phases_of([name])[name] or name.casefold() in WITHOUT_LABELS]


def _essence(name: str) -> str:
    name = look(name)
    while match := COPY.fullmatch(name):
        name = match[1] or match[2]
    return SEPARATORS.sub(" ", name)
