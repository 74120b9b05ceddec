"""Numbers with their nouns, shares, and names that others gave, for sentences that people read."""

import math

# Of the invisible characters only these two make a word another one.
JOINERS = "\u200c\u200d"


def plural(count: float, one: str, several: str = "") -> str:
    """Return the count with its noun, as in "2 images": `several` or `one` in the plural where it is not 1."""
    number = f"{count:,.4g}" if isinstance(count, float) else f"{count:,}"
    return f"{number} {one if count == 1 else several or _plural_of(one)}"


def percent(share: float, decimals: int = 0) -> str:
    """Return a share, of which 1 is the whole, such as "18 %": the one way in which people read it."""
    return f"{100 * share:.{decimals}f} %"


def decimal(value: float) -> str:
    """Return a positive number with two decimals, or more if it needs them for two digits that count."""
    return f"{value:,.{max(2, 1 - math.floor(math.log10(value)))}f}"


def is_are(count: int) -> str:
    return "is" if count == 1 else "are"


def printable(text: object) -> str:
    """Return `text` with every character that cannot be shown, such as a newline, as its escape sequence."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        character if character.isprintable() or character in JOINERS else ascii(character)[1:-1] for character in shown
    )


def _plural_of(noun: str) -> str:
    if noun.endswith(("s", "x", "tch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
