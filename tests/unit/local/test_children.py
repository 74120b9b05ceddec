"""Processes that end with the one that started them, and in order."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from helpers import python_path
from local import children
from waits import wait_until

ROOT = Path(__file__).parents[3]
# Writes a line when it is ready, and another one when it gets SIGTERM.
CHILD = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write("ended")
    sys.exit()
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "a").write("ready ")
time.sleep(600)
"""
PARENT = """
import sys
from local.children import child
with child([sys.executable, *sys.argv[1:]]):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_child_ends_in_order_however_its_parent_ends(tmp_path, number):
    told = tmp_path / "told"
    environment = os.environ | {"PYTHONPATH": python_path(ROOT)}
    command = [sys.executable, "-c", PARENT, "-c", CHILD, str(told)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as parent:
        wait_until(lambda: told.exists() and told.read_text() == "ready ", "the child is ready")
        (process,) = psutil.Process(parent.pid).children()
        parent.send_signal(number)
    wait_until(lambda: told.read_text() == "ready ended", "the child has got SIGTERM")
    process.wait(60)


def test_ctrl_c_changes_nothing_while_a_child_stops(tmp_path):
    """It comes to the child too, which writes its last files then."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    slow = CHILD.replace("sys.exit()", "time.sleep(0.5); open(sys.argv[1], 'a').write(' in order'); sys.exit()")
    told = tmp_path / "told"
    with pytest.raises(KeyboardInterrupt), children.child([sys.executable, "-c", slow, told]) as process:
        wait_until(lambda: told.exists() and told.read_text() == "ready ", "the child is ready")
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        raise KeyboardInterrupt
    assert process.returncode == 0
    assert told.read_text() == "ready ended in order"


def test_a_child_that_does_not_stop_is_killed(tmp_path):
    deaf = CHILD.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    told = tmp_path / "told"
    with pytest.raises(ValueError), children.child([sys.executable, "-c", deaf, told], seconds=0) as process:
        wait_until(lambda: told.exists() and told.read_text() == "ready ", "the child is ready")
        raise ValueError
    assert process.returncode == -signal.SIGKILL
