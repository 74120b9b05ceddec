import threading

import pytest

from classifier.serving import pools
from classifier.serving.pools import LEAST_OTHERS, OTHER_THREADS, TOO_FEW, exit_without_threads, start_pool


@pytest.fixture
def allowed(monkeypatch):
    """Allow so many threads at a time."""
    start, running = threading.Thread.start, []

    def allow(most: int) -> None:
        def start_some(thread: threading.Thread) -> None:
            running[:] = [one for one in running if one.is_alive()]
            if len(running) == most:
                raise RuntimeError("can't start new thread")
            running.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_some)

    return allow


def threads_of(pool) -> int:
    """Return how many calls the pool runs at a time, in threads that run already."""
    all_run = threading.Barrier(pool._max_workers)
    calls = [pool.submit(all_run.wait, 10) for _ in range(pool._max_workers)]
    return len({call.result() for call in calls})


def test_all_threads_run_before_they_are_needed(allowed):
    allowed(5 + OTHER_THREADS)
    pool = start_pool(5, "a")
    allowed(0)
    assert threads_of(pool) == 5


@pytest.mark.parametrize(("more", "number"), [(4, 4), (0, 1), (-5, 1)])
def test_some_are_left_for_others(allowed, caplog, more, number):
    allowed(OTHER_THREADS + more)
    assert threads_of(start_pool(9, "a")) == number
    assert f"allows {OTHER_THREADS + more} threads more: requests are answered by {number}, not 9" in caplog.text


@pytest.mark.parametrize("most", [0, LEAST_OTHERS])
def test_where_too_few_are_allowed_the_process_ends(allowed, monkeypatch, most):
    monkeypatch.setattr(pools, "exit_worker", pytest.fail)
    allowed(most)
    with pytest.raises(pytest.fail.Exception, match="too few threads can be started"):
        start_pool(2, "a")


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        ("can't start new thread", True),
        ("Exception from core.cpp:117: Resource temporarily unavailable", True),
        ("division by zero", False),
    ],
)
def test_a_fault_for_lack_of_threads_is_known(monkeypatch, words, ends):
    ended = []
    monkeypatch.setattr(pools, "exit_worker", ended.append)
    exit_without_threads(RuntimeError(words))
    assert ended == [TOO_FEW] * ends
