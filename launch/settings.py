"""The settings: settings.toml has every default with its comment, and each is a flag of the same name."""

import argparse
import json
import re
import tomllib
from pathlib import Path

from classifier.errors import UserError

FILE = Path(__file__).with_name("settings.toml")
SECTION = re.compile(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^(\w+) *=.*?#\s+(.*)$", re.MULTILINE)


def pair(text: str) -> tuple[str, object]:
    """NAME=VALUE, where VALUE is TOML, or else text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


class Pairs(argparse.Action):
    """NAME=VALUE ... on top of the default's table."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, getattr(namespace, self.dest) | dict(values))


# How a flag takes a setting of each type.
TAKEN = {
    bool: {"action": argparse.BooleanOptionalAction},
    int: {"type": int, "metavar": "N"},
    float: {"type": float, "metavar": "X"},
    str: {"metavar": "TEXT"},
    list: {"nargs": "*", "metavar": "TEXT"},
    dict: {"nargs": "*", "type": pair, "action": Pairs, "metavar": "NAME=VALUE"},
}


def parser(description: str, *sections: str) -> argparse.ArgumentParser:
    """A parser with a flag for every setting in `sections` of settings.toml. Raises UserError for a damaged file."""
    text = FILE.read_text(encoding="utf-8")
    try:
        defaults = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{FILE} is not valid TOML: {error}") from error
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for section in sections:
        if section not in defaults:
            raise UserError(f"{FILE} has no section [{section}]")
        group = made.add_argument_group(f"settings, section [{section}]")
        meanings = comments(text)[section]
        for name, default in defaults[section].items():
            meaning = f"{meanings.get(name, '')} (default: {json.dumps(default)})".replace("%", "%%")
            group.add_argument(f"--{name.replace('_', '-')}", default=default, help=meaning, **TAKEN[type(default)])
    return made


def comments(text: str) -> dict[str, dict[str, str]]:
    """The comment of each setting, by section and name."""
    return {section: dict(COMMENT.findall(body)) for section, body in SECTION.findall(text)}
