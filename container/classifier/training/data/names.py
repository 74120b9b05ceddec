"""Names that users gave to files and folders: how they are shown, compared, and which of them are refused."""

import re
import unicodedata

from classifier.errors import UserError
from classifier.words import JOINERS, printable

# Control characters, bytes that are not UTF-8 (as Python keeps them), and ends of lines and paragraphs.
REFUSED = {"Cc", "Cs", "Zl", "Zp"}
# Letters and marks that show nothing: fillers of Hangul, the empty pattern of Braille, and what chooses how the letter
# before it looks, such as an emoji in colour.
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# Characters that reverse the text behind them.
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


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
    if any(unicodedata.category(character) in REFUSED or character in BIDI for character in folder):
        raise UserError(
            f"the folder {quoted(folder)} has a control character, or a byte that is not UTF-8, in its name; "
            "accepted: names of visible characters"
        )
    visible = (letter for letter in UNSEEN.sub("", folder) if unicodedata.category(letter) != "Cf" or letter in JOINERS)
    name = unicodedata.normalize("NFC", "".join(visible)).strip()
    if not name.strip(JOINERS):
        raise UserError(f"the folder {ascii(folder)} has no visible character in its name; accepted: a class's name")
    return name
