"""What a class may be called: training names classes after folders by this, and serving reads model.json by it."""

import re
import unicodedata

from classifier.words import JOINERS

# Control characters, bytes that are not UTF-8 (as Python keeps them), and ends of lines and paragraphs.
REFUSED = {"Cc", "Cs", "Zl", "Zp"}
# Letters and marks that show nothing: fillers of Hangul, the empty pattern of Braille, and what chooses how the letter
# before it looks, such as an emoji in colour.
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# Characters that reverse the text behind them.
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def damages(name: str) -> bool:
    """Return whether `name` would damage a log or a file."""
    return any(unicodedata.category(character) in REFUSED or character in BIDI for character in name)


def visible(name: str) -> str:
    """Return what is seen of `name`, which names that look alike have in common; "" if that is nothing."""
    letters = (letter for letter in UNSEEN.sub("", name) if unicodedata.category(letter) != "Cf" or letter in JOINERS)
    seen = unicodedata.normalize("NFC", "".join(letters)).strip()
    return seen if seen.strip(JOINERS) else ""
