"""Where things are: the container's code, and runs/, in which the scripts leave results and the names they made."""

import json
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTAINER = ROOT / "container"
RUNS = ROOT / "runs"
LATEST = RUNS / "latest.json"

sys.path.insert(0, str(CONTAINER))

from classifier.errors import UserError  # noqa: E402, F401


def new_name(prefix: str) -> str:
    """A name for a job; a tuning job's may have 32 characters."""
    if not re.fullmatch(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,17}", prefix):
        raise UserError(f"prefix is {prefix!r}; accepted: 1 to 18 letters, digits and single hyphens between them")
    return f"{prefix}-{time.strftime('%y%m%d-%H%M%S')}"


def note(**made: str) -> None:
    """Remember the names of what was just made, for the script that comes next."""
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(names() | made, indent=2) + "\n")


def latest(kind: str, otherwise: str) -> str:
    """The name of the last `kind`. Raises UserError, which says `otherwise`, where there is none."""
    name = names().get(kind)
    if not name:
        raise UserError(otherwise)
    return name


def names() -> dict[str, str]:
    return json.loads(LATEST.read_text()) if LATEST.exists() else {}
