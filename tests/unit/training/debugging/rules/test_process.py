"""The process that evaluates the rules, from the training's side."""

import json
import multiprocessing
import time

from classifier.training.debugging.rules.client import RulesClient
from hooked import write_trial
from waits import PATIENCE_S, wait_until

GUESSING = 2.3


def write_losses(folder, values):
    write_trial(folder, [{"CrossEntropyLoss_output_0": value} for value in values])


def test_the_process_tells_while_training_goes_on(tmp_path, caplog):
    write_losses(tmp_path, [2.3] * 30)
    client = RulesClient(tmp_path, GUESSING)
    wait_until(lambda: caplog.text, "a rule that tells")
    assert "rule LossNotDecreasing at training step 19: the mean loss of 10 saved steps" in caplog.text
    assert [verdict["rule"] for verdict in client.found] == ["LossNotDecreasing"]
    answer = client.finish()
    assert answer.error is None
    assert {verdict["rule"]: verdict["status"] for verdict in answer.rules}["Overfit"] == "too early to say"
    json.dumps(answer.rules, allow_nan=False)


def test_the_process_ends_where_nothing_was_saved(tmp_path):
    answer = RulesClient(tmp_path / "nothing", GUESSING).finish()
    assert (answer.rules, answer.error) == ([], None)


def test_the_process_says_what_it_cannot_read(tmp_path, caplog):
    write_losses(tmp_path, [2.3] * 3)
    for path in tmp_path.glob("index/*/*.json"):
        path.write_text(path.read_text()[:50])
    answer = RulesClient(tmp_path, GUESSING).finish()
    assert answer.error
    assert "the rules were not all evaluated" in caplog.text


def test_the_process_ends_although_a_fork_keeps_its_input_open(tmp_path):
    """The processes that read images keep it open too."""
    write_losses(tmp_path, [2.3] * 3)
    client = RulesClient(tmp_path, GUESSING)
    fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=(2 * PATIENCE_S,))
    fork.start()
    try:
        assert client.finish().error is None
    finally:
        fork.kill()
        fork.join()


def test_the_process_ends_when_the_training_has_died(tmp_path):
    write_losses(tmp_path, [2.3] * 3)
    client = RulesClient(tmp_path, GUESSING)
    client.process.stdin.close()
    client.process.wait(PATIENCE_S)
    client.finish()
