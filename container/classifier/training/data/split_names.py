"""What people call the folders and channels of the phases."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

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
ADDED = "(?:the|sets?|splits?|subset|data|datasets?|images?|imgs?|photos?|pictures?|pics|files?|folder|samples?)"
_ONE = "|".join(f"(?P<{phase}>{'|'.join(names)})" for phase, names in PHASES.items())
NAME = re.compile(f"{ADDED}*(?:{_ONE}){ADDED}*")
# Dev boards and eval kits are things that photos show, as trains and valid tickets are.
DOUBTFUL = {"dev", "devel", "development", "eval", "evaluation", "evaluate"}
THINGS = DOUBTFUL | {"train", "training", "valid"}
WORD = re.compile(r"[^\W\d_]+")
# Between the words of "trainCat" and "catTEST".
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
SURE = {word: phase for phase, words in PHASES.items() for word in words if word not in DOUBTFUL}
GLUED = re.compile(f"({'|'.join(sorted(SURE, key=len, reverse=True))})(.+)|(.+?)({'|'.join(SURE)})")


def phases_of(names: Iterable[str]) -> dict[str, str | None]:
    """Return the phase that each of some names side by side stands for, None for another name.

    Case, digits, separators, the words of ADDED and words that all the names share do not count; a phase does if a name
    has no other word.
    """
    words = {name: WORD.findall(name.lower()) for name in names}
    shared = set.intersection(*map(set, words.values())) if len(words) > 1 else set()
    if any(shared.issuperset(of_name) for of_name in words.values()):
        shared -= {*SURE, *DOUBTFUL}
    letters = {name: "".join(word for word in of_name if word not in shared) for name, of_name in words.items()}
    return {name: match.lastgroup if (match := NAME.fullmatch(text)) else None for name, text in letters.items()}


def is_only_a_phase(name: str) -> bool:
    """Return whether a name stands for a phase, and for nothing that a photo could show."""
    return phases_of([name])[name] is not None and not THINGS.intersection(WORD.findall(name.lower()))


def names_of_a_split_class(names: Iterable[str]) -> tuple[str, ...]:
    """Return names that are one class in several phases, such as train_cat and test_cat; none if there are none.

    Trainers and testers are professions, and there are tubes and test tubes: a word that is part of another, and a name
    without a phase, have to make pairs for two classes.
    """
    names = list(names)
    for rests_of, least in ((_rests, 1), (_doubtful_rests, 2)):
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for name in names:
            for phase, rest in rests_of(_words(name)):
                found[rest].setdefault(phase, name)
        in_several = [of_phase for of_phase in found.values() if len(of_phase) > 1]
        if len(in_several) >= least:
            return tuple(in_several[0].values())
    return ()


def _words(name: str) -> list[str]:
    words = WORD.findall(HUMP.sub(" ", name).lower())
    return [word for word in words if not re.fullmatch(ADDED, word)]


def _rests(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each phase that the first or last word is, with the other words."""
    if len(words) > 1:
        for word, others in ((words[0], words[1:]), (words[-1], words[:-1])):
            if word in SURE:
                yield SURE[word], "".join(others)


def _doubtful_rests(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield no phase with all letters of the words, and the phase that they begin or end with, with the others."""
    letters = "".join(words)
    yield "", letters
    if match := GLUED.fullmatch(letters):
        before, behind, rest, after = match.groups()
        yield SURE[before or after], behind or rest
