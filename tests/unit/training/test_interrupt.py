import os
import signal
import time

import pytest

from classifier.training import interrupt as module
from classifier.training.interrupt import Interrupt, Interrupted
from waits import PATIENCE_S


@pytest.fixture
def interrupt():
    numbers = (*module.SIGNALS, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield Interrupt().install()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_remembered_until_it_is_checked_for(interrupt, number):
    interrupt.check(bool)
    os.kill(os.getpid(), number)
    with pytest.raises(Interrupted, match=number.name):
        interrupt.check(bool)


def test_a_job_under_nohup_outlives_its_terminal(interrupt):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt.install()
    os.kill(os.getpid(), signal.SIGHUP)
    interrupt.check(bool)


def test_a_signal_to_another_process_stops_this_one_too():
    interrupt = Interrupt()
    with pytest.raises(Interrupted, match="a signal to another process"):
        interrupt.check(lambda here: True)


def hang():
    yield 1
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    raise AssertionError("the wait was not given up")


def test_after_a_signal_the_wait_for_a_file_is_given_up(interrupt, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_FOR_A_FILE", 0.05)
    with pytest.raises(Interrupted, match="SIGTERM"):
        list(interrupt.watch(hang()))
    with pytest.raises(Interrupted, match="SIGTERM"), interrupt.waiting():  # the signal came before
        time.sleep(PATIENCE_S)
    with interrupt.waiting():
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_file_that_comes_in_time_is_not_given_up(interrupt):
    os.kill(os.getpid(), signal.SIGTERM)
    assert list(interrupt.watch("abc")) == ["a", "b", "c"]


def test_within_a_longer_wait_the_limit_stays(interrupt, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_FOR_A_FILE", 0.05)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted), interrupt.waiting():
        list(interrupt.watch("abc"))
        time.sleep(PATIENCE_S)
