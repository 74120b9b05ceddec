"""Classes in labels.csv after a spreadsheet, which makes numbers of texts that look like one: of 001 a 1."""

import math
from collections.abc import Collection

from classifier.errors import UserError
from classifier.json_text import shown

ACCEPTED = "accepted: the job's own file, of which only the column move is changed"


def as_written(text: str) -> str:
    """Return what a spreadsheet may write for this text."""
    if text.lower() in ("true", "false"):
        return text.upper()
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:.15g}" if math.isfinite(number) else text


def check_given(given: str, file: str, class_name: str, where: str) -> None:
    """Raise UserError if what a row has under given is not the class of its file."""
    if given == class_name:
        return
    changed = as_written(given) == as_written(class_name)
    why = "; a spreadsheet may have changed it, which takes it for a number" if changed else ""
    raise UserError(f"{where}: {shown(file)} is in class {shown(class_name)}, not {shown(given)}{why}; {ACCEPTED}")


def check_likely(likely: str, classes: Collection[str], texts: Collection[str], where: str) -> None:
    """Raise UserError if what a row has under likely is no class, or may have been another class.

    `texts` has all that the file has under given and likely: one that a spreadsheet would have changed says that none
    has changed these.
    """
    alike = [one for one in classes if one != likely and as_written(one) == as_written(likely)]
    why = f"; a spreadsheet may have made it of {shown(alike[0])}, taken for a number" if alike else ""
    if likely not in classes:
        raise UserError(f"{where}: {shown(likely)} is not a class{why}; accepted: {', '.join(classes)}")
    if alike and as_written(likely) == likely and not set(texts) & set(alike):
        raise UserError(
            f"{where}: {shown(likely)} may be another class{why}; accepted: no mark, the file moved by hand"
        )
