"""What people call the folders and channels of the phases."""

import re
from collections.abc import Iterable

# In lower case, without separators and digits.
PHASES = {
    "train": ("train", "training", "trn"),
    "validation": (
        *("validation", "validate", "validating", "valid", "vali", "val"),
        *("dev", "devel", "development", "eval", "evaluation", "evaluate"),
    ),
    "test": ("test", "testing", "tests", "tst", "holdout", "heldout"),
}
# Words that people put before or behind these.
ADDED = "(?:the|sets?|splits?|subset|data|datasets?|images?|imgs?|photos?|pictures?|pics|files?|folder|samples?)*"
NAME = re.compile(
    ADDED + "(?:" + "|".join(f"(?P<{phase}>{'|'.join(names)})" for phase, names in PHASES.items()) + ")" + ADDED
)


def phases_of(names: Iterable[str]) -> dict[str, str | None]:
    """Return the phase that each of some names side by side stands for, None for another name.

    Case, digits, separators, the words of ADDED and words that all the names share do not count.
    """
    words = {name: re.findall(r"[^\W\d_]+", name.lower()) for name in names}
    shared = set.intersection(*map(set, words.values())) if len(words) > 1 else set()
    letters = {name: "".join(word for word in of_name if word not in shared) for name, of_name in words.items()}
    return {name: match.lastgroup if (match := NAME.fullmatch(text)) else None for name, text in letters.items()}
