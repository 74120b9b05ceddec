"""The job's log on standard output. It can be written whatever a name holds, and no name in it passes for a metric."""

import io
import logging
import re
import sys

from classifier.training import metrics
from classifier.training.data.names import printable

METRIC = re.compile(f"({'|'.join(map(re.escape, metrics.METRICS))})=")


class LineFormatter(logging.Formatter):
    """Escapes what cannot be shown and, in all lines but those of the metrics, what reads as a metric."""

    def format(self, record: logging.LogRecord) -> str:
        lines = "\n".join(map(printable, super().format(record).split("\n")))
        return lines if record.name == metrics.logger.name else METRIC.sub(r"\1\\x3d", lines)


def set_up_log() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # whose encoding may lack a name's letters
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
