"""The settings: settings.toml has every default with a comment, and every setting is a flag of the same name."""

import argparse
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from classifier import files
from classifier.errors import UserError
from launch.checks import check_settings

FILE = Path(__file__).with_name("settings.toml")
SECTION = re.compile(r"^\[ *(\w+) *\][^\n]*\n(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^(\w+) *=.*?#\s+(.*)$", re.MULTILINE)


def pair(text: str) -> tuple[str, object]:
    """Parse NAME=VALUE; a VALUE that is not valid TOML is text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


class Pairs(argparse.Action):
    """Collects NAME=VALUE ... in a table."""

    def __call__(self, parser, namespace, values: Any, option_string=None):
        table = dict(getattr(namespace, self.dest, {}))
        for name, value in values:
            if name in table:
                raise UserError(f"{option_string} has {name} twice, as {table[name]!r} and as {value!r}")
            table[name] = value
        setattr(namespace, self.dest, table)


class SettingsParser(argparse.ArgumentParser):
    """Fills the settings that no flag gave from `defaults`, and checks all of them."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.defaults: dict[str, object] = {}

    def parse_args(self, args=None, namespace=None):  # pyright: ignore[reportIncompatibleMethodOverride]: overloads
        """Return the settings. Raises UserError if one is not accepted, or contradicts another."""
        given = vars(super().parse_args(args, namespace))
        settings = argparse.Namespace(**{name: given.get(name, default) for name, default in self.defaults.items()})
        for name, default in self.defaults.items():
            if isinstance(default, dict) and name in given:  # its pairs are added to the default's, or replace them
                setattr(settings, name, default | given[name])
        check_settings(settings, given)
        return argparse.Namespace(**given | vars(settings))


# How argparse reads a setting of each type.
ARGUMENTS: dict[type, dict[str, Any]] = {
    bool: {"action": argparse.BooleanOptionalAction},
    int: {"type": int, "metavar": "N"},
    float: {"type": float, "metavar": "X"},
    str: {"metavar": "TEXT"},
    list: {"nargs": "*", "metavar": "TEXT"},
    dict: {"nargs": "*", "type": pair, "action": Pairs, "metavar": "NAME=VALUE"},
}


def make_parser(description: str | None, *sections: str) -> SettingsParser:
    """Return a parser with a flag for every setting in `sections` of settings.toml.

    Raises UserError if the file is not valid TOML or lacks a section.
    """
    text = files.read_text(FILE)
    try:
        defaults = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{FILE} is not valid TOML: {error}") from error
    parser = SettingsParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for section in sections:
        if section not in defaults:
            raise UserError(f"{FILE} has no section [{section}]")
        group = parser.add_argument_group(f"settings, section [{section}]")
        meanings = comments(text).get(section, {})
        for name, default in defaults[section].items():
            meaning = f"{meanings.get(name, '')} (default: {json.dumps(default, default=str)})".replace("%", "%%")
            flag = f"--{name.replace('_', '-')}"
            group.add_argument(flag, default=argparse.SUPPRESS, help=meaning, **ARGUMENTS.get(type(default), {}))
        parser.defaults |= defaults[section]
    return parser


def comments(text: str) -> dict[str, dict[str, str]]:
    """Return the comment of each setting, by section and name."""
    return {section: dict(COMMENT.findall(body)) for section, body in SECTION.findall(text)}
