"""Names that users gave to files and folders: how they are shown, compared, and which of them are refused."""

import unicodedata

from classifier.errors import UserError
from classifier.names import damages, visible
from classifier.words import printable


def quoted(*names: str) -> str:
    """Return the names in quotes, without what cannot be shown, the first ten of them."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(f"'{printable(name)}'" for name in names[:10]) + more


def look(name: str) -> str:
    """Return what a name looks like at first sight, whatever the case, the forms of letters and the width of spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def class_name(folder: str) -> str:
    """Return the class whose images are in a `folder` of this name: two names that look alike are one class.

    Raises UserError if the name would damage a log or a file.
    """
    if damages(folder):
        raise UserError(
            f"the folder {quoted(folder)} has a control character, or a byte that is not UTF-8, in its name; "
            "accepted: names of visible characters"
        )
    name = visible(folder)
    if not name:
        raise UserError(f"the folder {ascii(folder)} has no visible character in its name; accepted: a class's name")
    return name
