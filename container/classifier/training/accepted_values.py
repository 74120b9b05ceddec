"""What a hyperparameter accepts, and the ranges that tuning searches: each kind says itself in words."""

import math
import re
from dataclasses import dataclass

# Python's own are wider: they take 1_000, and digits of other scripts.
WHOLE = re.compile("[+-]?[0-9]{1,20}")
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Whole:
    low: int
    high: int

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def parse(self, text: str) -> int:
        if not WHOLE.fullmatch(text):
            raise ValueError
        value = int(text)
        if not self.low <= value <= self.high:
            raise ValueError
        return value


@dataclass(frozen=True)
class Real:
    low: float
    high: float

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def parse(self, text: str) -> float:
        if not REAL.fullmatch(text):
            raise ValueError
        value = float(text)
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise ValueError
        return value


@dataclass(frozen=True)
class Choice:
    options: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.options)

    def parse(self, text: str) -> str:
        if text not in self.options:
            raise ValueError
        return text


@dataclass(frozen=True)
class Flag:
    def __str__(self) -> str:
        return "true, false"

    def parse(self, text: str) -> bool:
        # Never bool(text): "False" would be true.
        return {"true": True, "false": False}[text.lower()]


@dataclass(frozen=True)
class Several:
    """Some of `options`, separated by commas, or the word `none`."""

    options: tuple[str, ...]
    none: str

    def __str__(self) -> str:
        return f"{self.none}, or some of {', '.join(self.options)}, separated by commas"

    def parse(self, text: str) -> str:
        names = [name.strip() for name in text.split(",")]
        if names != [self.none] and not set(names) <= set(self.options):
            raise ValueError
        return ",".join(names)


Accepted = Whole | Real | Choice | Flag | Several


@dataclass(frozen=True)
class Between:
    """A search range from `low` to `high`, searched on a logarithmic scale."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, logarithmic"


@dataclass(frozen=True)
class OneOf:
    """A search range of a few values."""

    values: tuple[str | float, ...]

    def __str__(self) -> str:
        return ", ".join(map(text_of, self.values))


Range = Between | OneOf


def text_of(value: object) -> str:
    """Return a value as hyperparameters.json has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
