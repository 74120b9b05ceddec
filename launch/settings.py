"""The settings: settings.toml has every default with its comment, and each is a flag of the same name."""

import argparse
import re
import tomllib
from pathlib import Path

import places

FILE = Path(__file__).with_name("settings.toml")
COMMENT = re.compile(r"^(?:\[(\w+)\]|(\w+) *=.*?#\s+(.*))$", re.MULTILINE)


class Pairs(argparse.Action):
    """NAME=VALUE ... on top of the default's table."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, getattr(namespace, self.dest) | dict(values))


def pair(text: str) -> tuple[str, object]:
    """NAME=VALUE, where VALUE is TOML, or else text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def parser(description: str, *sections: str) -> argparse.ArgumentParser:
    """A parser with a flag for every setting in `sections` of settings.toml.

    Raises UserError where that file is not TOML or lacks a section.
    """
    text = FILE.read_text(encoding="utf-8")
    try:
        defaults = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise places.UserError(f"{FILE} is not valid TOML: {error}") from error
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    meanings = comments(text)
    for section in sections:
        if section not in defaults:
            raise places.UserError(f"{FILE} has no section [{section}]")
        group = made.add_argument_group(f"settings, section [{section}]")
        for name, default in defaults[section].items():
            meaning = meanings.get((section, name), "").replace("%", "%%")
            group.add_argument(
                f"--{name.replace('_', '-')}",
                default=default,
                help=f"{meaning} (default: {shown(default)})",
                **how(default),
            )
    return made


def how(default: object) -> dict[str, object]:
    """The arguments of add_argument for a setting with this default."""
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction}
    if isinstance(default, dict):
        return {"nargs": "*", "type": pair, "action": Pairs, "metavar": "NAME=VALUE"}
    if isinstance(default, list):
        return {"nargs": "*"}
    return {"type": type(default), "metavar": {int: "N", float: "X"}.get(type(default), "TEXT")}


def comments(text: str) -> dict[tuple[str, str], str]:
    """The comment of each setting, by section and name."""
    found, section = {}, ""
    for head, name, comment in COMMENT.findall(text):
        section = head or section
        if name:
            found[section, name] = comment
    return found


def shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "empty" if default in ("", [], {}) else str(default)
