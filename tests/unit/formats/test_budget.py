import threading
import time

import pytest

from classifier.formats import budget
from classifier.formats.budget import Clock, most_parts
from classifier.images import ImageError


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_parts_grow_with_the_bytes():
    assert most_parts(b"") == 10_000
    assert most_parts(bytes(30_000_000)) > 30_000_000 // 2000  # 30 MB of metadata in whole segments are 460


@pytest.fixture(autouse=True)
def little_time(monkeypatch):
    monkeypatch.setattr(budget, "MOST_EXCESS_S", 0.05)


def test_time_that_pixels_explain_is_no_excess(monkeypatch):
    monkeypatch.setattr(budget, "SECONDS_PER_PIXEL", 1)
    expected, nothing = Clock(10), Clock()
    nothing.check()
    compute(0.06)
    expected.check()
    with pytest.raises(ImageError, match="^its compressed data takes too long to decode$"):
        nothing.check()


def test_other_threads_and_waiting_do_not_count():
    clock = Clock()
    other = threading.Thread(target=compute, args=(0.1,))
    other.start()
    other.join()
    clock.check()
