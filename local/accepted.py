"""What settings accept, whether a flag, settings.toml or a stored tuning has them: a parser of each kind, and words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.accepted_values import text_of
from local.search import as_texts, check_name, search_range

CONTROL = r"\x00-\x1f\x7f"
# AWS has lower limits of its own for most settings; above this, sums of hours and money would no longer be numbers.
MOST = 1_000_000


class Accepted(Protocol):
    """Accepted values; str() has them in words."""

    def parse(self, value: object, /) -> object:
        """Return the value. Raises ValueError or KeyError if it is not accepted; or UserError, which says why."""


class OfText(Protocol):
    """Accepted texts, as of a hyperparameter."""

    def parse(self, text: str, /) -> object: ...


@dataclass(frozen=True)
class Scalar:
    """A number, word or flag, which may stand in quotes."""

    kind: OfText

    def __str__(self) -> str:
        return str(self.kind)

    def parse(self, value: object) -> object:
        if not isinstance(value, bool | int | float | str):
            raise ValueError
        return self.kind.parse(text_of(value))


@dataclass(frozen=True)
class Text:
    """A text that matches `pattern`."""

    pattern: str = f"[^{CONTROL}]*"
    words: str = "text without control characters"

    def __str__(self) -> str:
        return self.words

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise ValueError
        return value


SOME_TEXT = Text(f"[^{CONTROL}]+")


@dataclass(frozen=True)
class Texts:
    """A list of texts."""

    def __str__(self) -> str:
        return "a list of texts"

    def parse(self, value: object) -> list[str]:
        if not isinstance(value, list):
            raise ValueError
        return [SOME_TEXT.parse(item) for item in value]


@dataclass(frozen=True)
class Table:
    """A table of names and values; subclasses check these."""

    def __str__(self) -> str:
        return "a table of names and values"

    def parse(self, value: object) -> dict:
        if not isinstance(value, dict):
            raise ValueError
        for name, item in value.items():
            self.check(name, item)
        return value

    def check(self, name: str, value: object) -> None:
        """Raise UserError if a name or its value is not accepted."""


class Tags(Table):
    def check(self, name: str, value: object) -> None:
        try:
            SOME_TEXT.parse(name)
            Scalar(Text()).parse(value)
        except ValueError as error:
            raise UserError(f"the tag {shown(name)} is {shown(value)}; accepted: a text, a number or a flag") from error


class Prices(Table):
    def check(self, name: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
            raise UserError(f"the price of {name} is {shown(value)}; accepted: a number from 0 to {MOST}")


class Hyperparameters(Table):
    def check(self, name: str, value: object) -> None:
        check_name(name)
        as_texts({name: value})


class Ranges(Table):
    def check(self, name: str, value: object) -> None:
        search_range(name, value)


def parse_values(values: Mapping[str, object], accepted: Mapping[str, Accepted], within: str = "") -> dict[str, object]:
    """Return the values of all names in `accepted`, parsed.

    Raises UserError, which begins with `within`, if one is missing or not accepted.
    """
    parsed = {}
    for name, kind in accepted.items():
        if name not in values:
            raise UserError(f"{within}{name} is missing; accepted: {kind}")
        try:
            parsed[name] = kind.parse(values[name])
        except UserError as error:
            raise UserError(f"{within}{error}") from error
        except (ValueError, KeyError) as error:
            raise UserError(f"{within}{name} is {shown(values[name])}; accepted: {kind}") from error
    return parsed
