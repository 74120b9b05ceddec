"""The settings: settings.toml has every default with a comment, and every setting is a flag of the same name."""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from classifier import files
from classifier.errors import UserError
from classifier.json_text import MOST_DIGITS, shown
from classifier.training.accepted_values import Whole
from classifier.training.hyperparameters import FIELDS
from launch.checks import FLAG, SECTIONS, check_file, check_settings
from local.accepted import Accepted, Scalar, Table, Texts
from local.tuning_fields import SETTINGS as STORED

# The settings that have an effect on this computer.
LOCAL = ("prefix", "mlflow_uri", *STORED)
# The sections at the end of --help.
AFTER_OTHERS = ("aws", "cost")
FILE = Path(__file__).with_name("settings.toml")
SECTION = re.compile(r"^\[ *(\w+) *\][^\n]*\n(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^(\w+) *=.*?#\s+(.*)$", re.MULTILINE)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values of a TOML text. Raises ValueError, with a reason for the user, if it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:  # its own sentence names a function of Python
        raise ValueError(f"it has a number of more than {MOST_DIGITS:,} digits") from error


def pair(text: str) -> tuple[str, object]:
    """Parse NAME=VALUE; a VALUE that is not one value of TOML is text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:  # an inline table ends with its line, so that nothing of another line or behind a # is lost
        parsed = parse_toml(f"all = {{ value = {value} }}")
    except ValueError:
        return name, value
    return name, parsed["all"]["value"] if parsed == {"all": {"value": parsed["all"]["value"]}} else value


def whole(text: str) -> int | str:
    """Return a number that is written as one; the settings' own check says what is accepted."""
    return int(text) if re.fullmatch("-?[0-9]{1,18}", text) else text


def path(text: str) -> Path:
    """Parse the path of a file or folder; an empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; accepted: a file or folder")
    if text.startswith("s3:"):
        raise argparse.ArgumentTypeError(f"{text} is in S3; accepted: a file or folder of this computer")
    return Path(text)


class Pairs(argparse.Action):
    """Collects NAME=VALUE ... in a table."""

    def __call__(self, parser, namespace, values: Any, option_string=None):
        table = dict(getattr(namespace, self.dest, {}))
        for name, value in values:
            if name in table:
                raise UserError(f"--{self.dest} has {name} twice, as {shown(table[name])} and as {shown(value)}")
            table[name] = value
        setattr(namespace, self.dest, table)


class Operand(str):
    """An argument behind --: never a flag, whatever it begins with."""


class SettingsParser(argparse.ArgumentParser):
    """Fills the settings that no flag gave from `defaults`, and checks all of them by `accepted`."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.defaults: dict[str, object] = {}
        self.accepted: dict[str, Accepted] = {}
        self.excluded: dict[str, list[str]] = {}

    def exclude(self, flag: str, *others: str, settings_but: Collection[str] | None = None) -> None:
        """Let `flag` refuse `others`, which have no effect with it, and all settings but those of `settings_but`."""
        settings = [] if settings_but is None else [name for name in self.defaults if name not in settings_but]
        self.excluded[flag] = [*others, *settings]

    def parse_args(self, args=None, namespace=None):  # pyright: ignore[reportIncompatibleMethodOverride]: overloads
        """Return the settings. Raises UserError if one is not accepted, contradicts another or has no effect."""
        args = list(sys.argv[1:] if args is None else args)
        end = args.index("--") if "--" in args else len(args)
        self._refuse_hyperparameters_as_flags(args[:end])
        # argparse would read what is behind -- twice, the second time without it.
        given = vars(super().parse_intermixed_args([*args[:end], *map(Operand, args[end + 1 :])], namespace))
        if given.get("data") == "":  # a shell's variable that is not set: the default would be taken without a word
            raise UserError("--data is empty; accepted: images, or no --data at all")
        settings = argparse.Namespace(**{name: given.get(name, default) for name, default in self.defaults.items()})
        for name, default in self.defaults.items():
            if isinstance(default, dict) and name in given:  # its pairs are added to the default's, or replace them
                setattr(settings, name, default | given[name])
        check_settings(settings, self.accepted, given)
        used = [name for name in given if name in self.defaults or given[name] != self.get_default(name)]
        for flag in filter(self.excluded.__contains__, used):
            for other in filter(self.excluded[flag].__contains__, used):
                raise UserError(f"{dashed(other)} has no effect with {dashed(flag)}; accepted: one of them")
        return argparse.Namespace(**given | vars(settings))

    def _parse_optional(self, arg_string: str):
        return None if isinstance(arg_string, Operand) else super()._parse_optional(arg_string)

    def _refuse_hyperparameters_as_flags(self, args: Iterable[str]) -> None:
        """Raise UserError for --epochs 3, of which argparse would say that 3 is not NAME=VALUE."""
        for flag in (text.partition("=")[0] for text in args if "hyperparameters" in self.defaults):
            name = flag.removeprefix("--").replace("-", "_")
            if flag.startswith("--") and name in FIELDS and flag not in self._option_string_actions:
                raise UserError(f"{flag} is no flag but a hyperparameter; accepted: {name}=VALUE")


TABLE: dict[str, Any] = {"nargs": "*", "type": pair, "action": Pairs, "metavar": "NAME=VALUE"}


def dashed(name: str) -> str:
    """Return a setting's flag."""
    return f"--{name.replace('_', '-')}"


def arguments_of(accepted: Accepted) -> dict[str, Any]:
    """Return how argparse reads a setting's flag."""
    if accepted == FLAG:
        return {"action": argparse.BooleanOptionalAction}
    if isinstance(accepted, Table):
        return TABLE
    if isinstance(accepted, Texts):
        return {"nargs": "*", "metavar": "TEXT"}
    if isinstance(accepted, Scalar) and isinstance(accepted.kind, Whole):
        return {"type": whole, "metavar": "N"}
    return {"metavar": "TEXT"}


def make_parser(description: str | None, *sections: str, takes: str = "") -> SettingsParser:
    """Return a parser with a flag for every setting in `sections` of settings.toml; `takes` has the other arguments.

    Raises UserError if the file is missing or not valid TOML, or if a setting is missing, not known or not accepted.
    """
    try:
        text = files.read_text(FILE)
        defaults = check_file(parse_toml(text), FILE)
    except FileNotFoundError as error:
        raise UserError(f"{FILE} is missing: it has every setting's default") from error
    except ValueError as error:
        raise UserError(f"{FILE} is not valid TOML: {error}") from error
    takes = takes or "[NAME=VALUE ...]" * ("training" in sections)
    parser = SettingsParser(
        usage=" ".join(filter(None, ("%(prog)s", takes, "[option ...]"))),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if "training" in sections:
        about = f"hyperparameters, such as epochs=3; their names: {', '.join(FIELDS)}"
        parser.add_argument("hyperparameters", **TABLE, default=argparse.SUPPRESS, help=about)
    here = parser.add_argument_group("settings")
    on_aws = parser.add_argument_group("settings of AWS")
    for section in sorted(sections, key=AFTER_OTHERS.__contains__):
        meanings = comments(text).get(section, {})
        for name, default in defaults[section].items():
            meaning = f"{meanings.get(name, '')} (default: {json.dumps(default, default=str)})".replace("%", "%%")
            group, arguments = here if name in LOCAL else on_aws, arguments_of(SECTIONS[section][name])
            group.add_argument(dashed(name), default=argparse.SUPPRESS, help=meaning, **arguments)
        parser.defaults |= defaults[section]
        parser.accepted |= SECTIONS[section]
    return parser


def comments(text: str) -> dict[str, dict[str, str]]:
    """Return the comment of each setting, by section and name."""
    return {section: dict(COMMENT.findall(body)) for section, body in SECTION.findall(text)}
