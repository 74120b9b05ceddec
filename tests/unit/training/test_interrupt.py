import os
import signal

import pytest

from classifier.training.interrupt import Interrupt, Interrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered_until_it_is_checked_for(number):
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        interrupt = Interrupt().install()
        interrupt.check(bool)
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=number.name):
            interrupt.check(bool)
    finally:
        for n, handler in handlers.items():
            signal.signal(n, handler)


def test_a_signal_to_another_process_stops_this_one_too():
    interrupt = Interrupt()
    with pytest.raises(Interrupted, match="a signal to another process"):
        interrupt.check(lambda here: True)
