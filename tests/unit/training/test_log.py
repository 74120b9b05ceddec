import io
import logging
import os
import re

import pytest

from classifier.training import log, metrics


def written(logger, *message):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.LineFormatter("%(message)s"))
    handler.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, message[0], message[1:], None))
    stream.getvalue().encode()
    return stream.getvalue()


@pytest.mark.parametrize("name", ["b\nvalidation:accuracy=1.0", "x validation:accuracy=1.0 y", "validation:accuracy=1"])
def test_no_name_reads_as_a_metric(name):
    text = written(logging.getLogger("classifier.training.data.skipped"), "skipped %s", name)
    assert not any(re.search(metric.regex, text, re.MULTILINE) for metric in metrics.METRICS.values())
    assert r"validation:accuracy\x3d1" in text


def test_metrics_and_tracebacks_stay():
    line = "epoch 1/2: validation:accuracy=0.5"
    assert written(metrics.logger, "%s", line) == f"{line}\n"
    assert written(logging.getLogger("any"), "%s", "Traceback:\n  File") == "Traceback:\n  File\n"


def test_what_cannot_be_shown_is_escaped():
    text = written(logging.getLogger("any"), "a %s", f"\x1b[2J\r{os.fsdecode(bytes([0xF1]))}")
    assert text == "a \\x1b[2J\\r\\udcf1\n"
