import os

import pytest

from classifier.errors import UserError
from classifier.training.data.names import class_name, escaped, printable, quoted, unescaped

EMOJI = "\U0001f469\u200d\U0001f52c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Käse, alt 狗", "Käse, alt 狗"),
        (EMOJI, EMOJI),
        ("a\nb\x1b[31m\r\t\0", r"a\nb\x1b[31m\r\t\x00"),
        (os.fsdecode(b"a\xf1"), r"a\udcf1"),
        ("\u2028\u202e\xa0", r"\u2028\u202e\xa0"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text, shown):
    assert printable(text) == shown
    printable(text).encode()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Käse, alt 狗", "Käse, alt 狗"),
        (EMOJI, EMOJI),
        (r"a\b c\xy\u00", r"a\b c\xy\u00"),
        ("a\nb", r"a\nb"),
        (r"a\nb", r"a\\nb"),
        (r"a\\nb", r"a\\\\nb"),
        ("\\\n", r"\\\n"),
        (r"a\\b", r"a\\\\b"),
        (r"\x0a \u2028 \U0001f469", r"\\x0a \\u2028 \\U0001f469"),
        (os.fsdecode(b"a\xf1\\"), r"a\udcf1\\"),
        ("\U000e0001\u2028", r"\U000e0001\u2028"),
    ],
)
def test_no_two_names_are_written_alike(name, written):
    assert escaped(name) == written
    assert unescaped(written) == name
    assert printable(written) == written


def test_ten_names_are_quoted():
    assert quoted("a", "b\n") == r"'a', 'b\n'"
    assert quoted(*map(str, range(12))).endswith("'9' and 2 more")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (" pug ", "pug"),
        ("cafe\u0301", "caf\xe9"),
        ("x\ufeffy\xad", "xy"),
        ("\u2615\ufe0f", "\u2615"),
        (EMOJI, EMOJI),
        ("$$", "$$"),
    ],
)
def test_a_class_is_named_by_what_is_seen(folder, name):
    assert class_name(folder) == name


@pytest.mark.parametrize("folder", [" ", "\u200b", "\xa0", "\u3164", "\u2800", "\ufe0f", "\u200d"])
def test_a_name_that_nobody_sees(folder):
    with pytest.raises(UserError, match="has no visible character in its name; accepted: "):
        class_name(folder)
