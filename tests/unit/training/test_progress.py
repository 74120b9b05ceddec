import logging

from classifier.training import progress as module
from classifier.training.progress import progress


def test_plain_lines_now_and_then_without_a_terminal(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: False)
    clock = iter(range(0, 1000, 12))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert list(progress("abcdefgh", "epoch 1", 8)) == list("abcdefgh")
    assert caplog.messages == ["epoch 1: step 2 of 8", "epoch 1: step 5 of 8"]


def test_a_bar_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True)
    assert list(progress("abc", "epoch 1", 3)) == list("abc")
    assert "epoch 1:   0%|" in capsys.readouterr().err
