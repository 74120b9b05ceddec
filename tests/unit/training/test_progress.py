import logging

from classifier.training import progress as module
from classifier.training.progress import job_bar, progress, time_left


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


def test_one_bar_for_the_whole_job_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True)
    with job_bar(total=12, done=2):
        assert time_left() == ""
        for epoch in (1, 2):
            assert list(progress("abc", f"epoch {epoch}", 3)) == list("abc")
            assert list(progress("d", "features", 1, counted=False)) == ["d"]
            assert list(progress("ef", "validation", 2)) == list("ef")
        assert time_left() == "00:00 left"
        (bar,) = module._bars
        assert (bar.n, bar.total) == (12, 12)
    assert not module._bars and time_left() == ""
    assert "/12 [" in capsys.readouterr().err


def test_no_bar_and_no_time_without_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: False)
    with job_bar(total=3, done=0):
        assert list(progress("abc", "epoch 1", 3)) == list("abc")
        assert time_left() == ""
    assert capsys.readouterr().err == ""
