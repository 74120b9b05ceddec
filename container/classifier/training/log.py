"""The job's log on standard output. It can be written whatever a name holds, and no name in it passes for a metric.

A terminal gets lines that a person reads, and the file train.log what would be the log elsewhere.
"""

import contextlib
import io
import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tqdm import tqdm

from classifier import streams
from classifier.training import metrics
from classifier.training.data.names import printable
from classifier.words import percent

PHASES = ("train", "validation", "test")
SPEED = "train:images_per_second"
METRIC = re.compile(f"({'|'.join(map(re.escape, metrics.METRICS))})=")


class LineFormatter(logging.Formatter):
    """Escapes what cannot be shown and, in all lines but those of the metrics, what reads as a metric."""

    def format(self, record: logging.LogRecord) -> str:
        lines = "\n".join(map(printable, super().format(record).split("\n")))
        return lines if record.name == metrics.logger.name else METRIC.sub(r"\1\\x3d", lines)


class TerminalFormatter(LineFormatter):
    """Writes the metrics of an epoch as a line that fits the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name != metrics.logger.name:
            return super().format(record)
        about = vars(record)
        return short_line(about["head"], about["values"], about["notes"], shutil.get_terminal_size().columns)


class TerminalHandler(logging.StreamHandler):
    """Takes the bar away while it writes a line."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode():
            super().emit(record)


def short_line(head: str, values: Mapping[str, float], notes: Iterable[str], columns: int) -> str:
    """Return metrics in words, training's before validation's, and of the notes and the rest what fits."""
    parts = [head, *_both("loss {}", values, "loss", "{:.3g}".format), *_both("acc {} %", values, "accuracy", _of_100)]
    parts += [note for note in notes if note]
    parts += _both("F1 {}", values, "macro_f1", "{:.3f}".format)
    parts += [f"{values[SPEED]:,.0f} img/s"] if SPEED in values else []
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) < columns:
            line += f"  {part}"
    return line


def _of_100(share: float) -> str:
    return percent(share, 1).removesuffix(" %")  # which stands once, behind both


def _both(what: str, values: Mapping[str, float], name: str, form: Callable[[float], str]) -> Iterator[str]:
    found = [form(values[f"{phase}:{name}"]) for phase in PHASES if f"{phase}:{name}" in values]
    if found:
        yield what.format(" -> ".join(found))


def set_up_log(root: Path) -> None:
    """Log to standard output and, if that is a terminal, to train.log in the folder `root`."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # whose encoding may lack a name's letters
        sys.stdout.reconfigure(errors="backslashreplace")
    plain = LineFormatter("%(message)s")
    handlers: list[logging.Handler] = []
    if sys.stdout.isatty():
        handlers.append(_with(TerminalHandler(sys.stdout), TerminalFormatter("%(message)s")))
        with contextlib.suppress(OSError):  # the outputs' check says why nothing can be written there
            handlers.append(_with(logging.FileHandler(root / "train.log", encoding="utf-8"), plain))
    else:
        handlers.append(_with(logging.StreamHandler(sys.stdout), plain))
    logging.basicConfig(level=logging.INFO, handlers=handlers)


def _with(handler: logging.StreamHandler, formatter: logging.Formatter) -> logging.Handler:
    handler.setFormatter(formatter)
    report_bug = handler.handleError

    def go_on_without(record: logging.LogRecord) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):
            report_bug(record)
            return
        streams.drop(handler.stream)
        name = "standard output" if handler.stream is sys.stdout else handler.stream.name
        streams.tell(f"train: {name} cannot be written: {error.strerror}; the job goes on, without its log there")

    handler.handleError = go_on_without
    return handler
