"""Numbers with their nouns, for sentences that people read: 1 image, 2 images."""


def plural(count: float, one: str, several: str = "") -> str:
    """Return the count with its noun, `several` or `one` in the plural where it is not 1."""
    number = f"{count:,.4g}" if isinstance(count, float) else f"{count:,}"
    return f"{number} {one if count == 1 else several or _plural_of(one)}"


def is_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _plural_of(noun: str) -> str:
    if noun.endswith(("s", "x", "tch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
