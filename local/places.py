"""Paths: the container's code, and runs/, where the scripts keep their results and the names of the latest ones."""

import fcntl
import importlib.util
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.errors import UserError
from classifier.files import read_json, write_file
from local.accepted import CONTROL, Accepted, Text, parse_values

ROOT = Path(__file__).resolve().parents[1]
CONTAINER = ROOT / "container"
RUNS = ROOT / "runs"
LATEST = RUNS / "latest.json"
TIME = "%y%m%d-%H%M%S"
# A tuning job's name has at most 32 characters, of which the time has 14.
PREFIX = Text("[a-zA-Z0-9](-?[a-zA-Z0-9]){0,17}", "1 to 18 letters, digits and single hyphens between them")
# What SageMaker takes as the name of a job or an endpoint.
OF_AWS = "(?=.{1,63}(/|$))[a-zA-Z0-9](-*[a-zA-Z0-9])*"
RUN = Text(
    f"{OF_AWS}(/trial-[0-9]{{3,6}})?",
    "a name such as resnet18-260102-030405, or resnet18-260102-030405/trial-001",
)
ENDPOINT = Text(OF_AWS, "up to 63 letters, digits and hyphens, neither the first nor the last a hyphen")
# How many jobs are named where another one was asked for.
MOST_NAMED = 5
MISSING = {
    "data": "no images: run launch/upload.py FOLDER, or use --data FOLDER",
    "tuning": "no tuning job was started from here: run launch/tune.py",
    "job": "no model was trained: run launch/tune.py or launch/train.py",
    "endpoint": "nothing is deployed: run launch/deploy.py",
    "local_tuning": "no tuning was started here: run launch/tune.py --local",
    "local_job": "no model was trained here: run launch/train.py --local",
    "local_url": "nothing is deployed here: run launch/deploy.py --local",
}
# What the file of the latest names may have; "" if there is none any more.
NAMED: dict[str, Accepted] = {
    **dict.fromkeys(("data", "local_url"), Text(f"[^{CONTROL}]{{0,2000}}", "text of up to 2,000 characters")),
    **dict.fromkeys(("tuning", "job", "endpoint", "local_tuning", "local_job"), Text(f"|{RUN.pattern}", RUN.words)),
    "local_pid": Text("[0-9]{0,9}", "the number of a process, in quotes"),
    "local_started": Text("([0-9]{1,12})?", "the second in which that process started, in quotes"),
}


def need(package: str, advice: str) -> None:
    """Raise UserError if `package` is not installed; `advice` says what to do."""
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed: {advice}")


def new_name(prefix: str) -> str:
    """Return a new name for a job or what belongs to one, which no other process on this computer gets too.

    AWS has room for the seconds alone, so the next one waits for the next second.
    """
    RUNS.mkdir(exist_ok=True)
    with (RUNS / "last_name").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = file.read()
        while (now := time.strftime(TIME)) == last:
            time.sleep(0.02)
        file.truncate(0)
        file.write(now)
    return f"{prefix}-{now}"


def run_folder(name: str) -> Path:
    """Return the folder of a job in RUNS. Raises UserError if this is not the name of a job."""
    parse_values({"the job's name": name}, {"the job's name": RUN})
    return RUNS / name


def no_run(kind: str, name: str, file: str) -> UserError:
    """Return the error for a job or tuning (`kind`) that lacks `file`, since it is gone or was renamed, say.

    It names the newest ones that have the file.
    """
    found = [path for pattern in (f"*/{file}", f"*/trial-*/{file}") for path in RUNS.glob(pattern)]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.relative_to(RUNS).as_posix().removesuffix(f"/{file}") for path in found]
    names = [one for one in names if re.fullmatch(RUN.pattern, one)]
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    accepted = ", ".join(names[:MOST_NAMED]) + more or f"the name of a {kind}, of which there is none yet"
    fault = f"{RUNS / name} has no {file}" if (RUNS / name).exists() else f"there is no {kind} {name} in {RUNS}"
    return UserError(f"{fault}; accepted: {accepted}")


def new_run(prefix: str) -> str:
    """Return the new name of a job on this computer, whose folder in RUNS is made now: no other process gets it too."""
    while True:
        name = new_name(prefix)
        try:
            (RUNS / name).mkdir(parents=True)
            return name
        except FileExistsError:
            pass  # the clock was set back


@contextmanager
def locked(file: Path, what: str) -> Iterator[None]:
    """Lock `file` against other processes while the block runs. Raises UserError if `what` is running in another."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{what} is already running in another process") from None
        yield


def note(**made: str) -> None:
    """Keep the names of what was just made, for the scripts that follow."""
    RUNS.mkdir(exist_ok=True)
    write_file(LATEST, (json.dumps(noted_or_none() | made, indent=2) + "\n").encode())


def noted() -> dict[str, str]:
    """Return the names that were kept, by kind. Raises UserError if their file is damaged."""
    try:
        names = read_json(LATEST)
        parse_values(
            names, {kind: accepted for kind, accepted in NAMED.items() if kind in names}, f"{LATEST} is damaged: "
        )
    except FileNotFoundError:
        return {}
    except UserError as error:
        raise UserError(
            f"{error}. It has the names of what was made last: give them as options, or remove it"
        ) from error
    return {kind: name for kind, name in names.items() if kind in NAMED}


def noted_or_none() -> dict[str, str]:
    """Return the names that were kept; {} if their file is damaged, which is then said, and set aside."""
    try:
        return noted()
    except UserError as error:
        aside = LATEST.with_name(f"{LATEST.name}.damaged-{time.strftime(TIME)}")
        LATEST.replace(aside)
        print(f"{error}. It is now {aside}; a server that it named may still run here", file=sys.stderr)
        return {}


def latest(kind: str) -> str:
    """Return the name of the latest `kind`, a key of MISSING. Raises UserError if there is none."""
    if name := noted().get(kind):
        return name
    raise UserError(MISSING[kind])
