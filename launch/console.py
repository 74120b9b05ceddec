"""What a person sees: errors in a sentence, questions before anything costs money, tables."""

import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path

import places


def run(main: Callable[[], int | None]) -> None:
    """Run a script's main; what the user can mend is one sentence, and the exit code 1."""
    name = Path(sys.argv[0]).stem
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background has turned the first off
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main() or 0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if isinstance(error, places.UserError):
            sentence = str(error)
        elif type(error).__module__.startswith(("botocore", "boto3")):
            from aws import sentence_for

            sentence = sentence_for(error)
        else:
            raise
        print(f"{name}: {sentence}", file=sys.stderr)
        sys.exit(1)


def ask(question: str, yes: bool) -> None:
    """Go on only if the user says so: now, or with `yes`. Raises UserError where they do not, or nobody is there."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise places.UserError(f"{question} There is no terminal to answer on: repeat the command with --yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise places.UserError("nothing was done")


def cost(settings: Namespace, instance_type: str, hours: float) -> str:
    """Instance hours, and what they cost where the settings have the price."""
    price = settings.prices.get(instance_type)
    money = f", {hours * price:,.2f} {settings.currency}" if price else " (set prices to see the money)"
    return f"{hours:,.4g} instance hours of {instance_type}{money}"


def table(head: Iterable[str], rows: Iterable[Iterable[object]], numbers: Iterable[str] = ()) -> object:
    """A rich table; the columns named in `numbers` are set to the right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def show(*things: object) -> None:
    """Print texts and tables, in full width where nobody watches."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 500)
    for thing in things:
        console.print(thing)
