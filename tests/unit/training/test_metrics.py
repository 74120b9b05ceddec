import json
import logging
import math
import re
from pathlib import Path

import pytest

from classifier.training.metrics import METRICS, OBJECTIVES, MetricsLog, better


@pytest.mark.parametrize("value", [0.0, 0.123456789, 1.0, 35.93697, 123456.7, 1e10])
def test_each_regex_reads_its_own_value_from_a_real_line(value, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write("epoch 1/2", dict.fromkeys(METRICS, value), epoch=1)
    (line,) = caplog.messages
    for metric in METRICS.values():
        assert [float(found) for found in re.findall(metric.regex, line)] == [round(value, metric.decimals)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_regex_reads_nan_or_inf(value):
    for metric in METRICS.values():
        assert re.findall(metric.regex, f"epoch 1/1: {metric.format(value)} x=1") == []


def test_the_file_has_one_json_object_per_line(tmp_path):
    path = tmp_path / "data" / "metrics.jsonl"
    log = MetricsLog(path)
    log.start([{"epoch": 0}])
    log.start([])
    log.write("epoch 1/2", {"train:loss": 0.5}, epoch=1)
    log.write("epoch 2/2", {"train:loss": math.nan}, epoch=2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"epoch": 1, "train:loss": 0.5}, {"epoch": 2, "train:loss": None}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_with_the_path():
    log = MetricsLog(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        log.start([{"epoch": 1}])
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        log.write("epoch 1/2", {"train:loss": 0.5}, epoch=1)


def validated(accuracy, loss=0.5):
    return {"validation:accuracy": accuracy, "validation:loss": loss}


def test_better_follows_the_objective():
    assert better("validation:accuracy", validated(0.6), validated(0.5, loss=0.1))
    assert not better("validation:accuracy", validated(0.4, loss=0.1), validated(0.5))
    assert better("validation:loss", validated(0.5, loss=0.4), validated(0.6))
    assert not better("validation:loss", validated(0.6), validated(0.5, loss=0.4))
    assert not better("validation:loss", validated(0.5, math.nan), validated(0.5))
    assert not better("validation:accuracy", validated(math.nan), validated(0.5))
    assert better("validation:loss", validated(0.5), validated(0.5, math.nan))
    assert better("validation:loss", validated(0.5, math.nan), None)


def test_of_two_epochs_with_the_same_accuracy_the_one_with_the_lower_loss_is_better():
    assert better("validation:accuracy", validated(1.0, loss=0.01), validated(1.0, loss=0.9))
    assert not better("validation:accuracy", validated(1.0, loss=0.9), validated(1.0, loss=0.01))
    assert not better("validation:loss", validated(0.5), validated(0.5))


def test_every_objective_has_a_direction():
    assert {METRICS[name].objective for name in OBJECTIVES} == {"Maximize", "Minimize"}
    assert set(OBJECTIVES) == {metric.name for metric in METRICS.values() if metric.objective}
