"""Names that users gave to files and folders: how they are shown, compared, and which of them are refused."""

import re
import unicodedata

from classifier.errors import UserError
from classifier.names import damages, visible
from classifier.words import printable

# What escaped() writes, and so what has to be escaped itself where a name has it.
ESCAPE = re.compile(r"\\(?:[\\nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})")


def quoted(*names: str) -> str:
    """Return the names in quotes, without what cannot be shown, the first ten of them."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(f"'{printable(name)}'" for name in names[:10]) + more


def escaped(name: str) -> str:
    """Return the name of a file as files have it that are read again: no other file has the same.

    It is the name itself, unless that has what cannot be shown, or a backslash that looks like an escape sequence.
    """
    is_itself = printable(name) == name and not ESCAPE.search(name)
    return name if is_itself else printable(name.replace("\\", r"\\"))


def unescaped(text: str) -> str:
    """Return the name that escaped() has made this of."""
    return ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), text)


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
