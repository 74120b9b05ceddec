import threading
import time
from concurrent.futures import wait

import numpy as np
import pytest

from classifier.serving import batcher as module
from classifier.serving.batcher import Batcher, Expired
from waits import PATIENCE_S, wait_until

LATER = float("inf")


class Model:
    """Doubles its input once the test allows it, and records the cores and size of each batch."""

    def __init__(self):
        self.batches: list[tuple[int, int]] = []
        self.started = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)

    def in_lane(self, cores: int):
        def forward(rows: np.ndarray) -> np.ndarray:
            self.batches.append((cores, len(rows)))
            self.started.release()
            assert self.allowed.acquire(timeout=PATIENCE_S)
            if (rows == 13).any():
                raise ValueError("unlucky")
            return 2 * rows

        return forward


@pytest.fixture
def model() -> Model:
    return Model()


def submit(batcher: Batcher, *values: int, deadline: float = LATER) -> list:
    return [batcher.submit(np.array([value]), deadline) for value in values]


def numbers(futures: list) -> list[int]:
    return [int(future.result(timeout=PATIENCE_S).row[0]) for future in futures]


def test_a_lone_image_starts_at_once_with_all_cores(model):
    batcher = Batcher(model.in_lane, (4, 1, 1), batch_size=8)
    for value in (3, 4):
        model.allowed.release()
        assert numbers(submit(batcher, value)) == [2 * value]
        wait_until(lambda: not batcher._starts, "all lanes are idle again, a moment after the answer")
    assert model.batches == [(4, 1), (4, 1)]


def test_what_comes_while_the_model_is_busy_is_shared_among_the_cores(model):
    batcher = Batcher(model.in_lane, (2, 1, 1), batch_size=8)
    first = submit(batcher, 0)
    assert model.started.acquire(timeout=PATIENCE_S)
    others = submit(batcher, *range(1, 12))
    model.allowed.release(10)
    assert numbers(first + others) == [2 * value for value in range(12)]
    assert model.batches[0] == (2, 1)
    assert sorted(model.batches[1:]) == [(1, 5), (1, 6)]
    assert sorted({future.result().batch_size for future in others}) == [5, 6]


def test_an_image_comes_alone_again_a_while_after_others_met(model, monkeypatch):
    monkeypatch.setattr(module, "CALM_S", 0.3)
    batcher = Batcher(model.in_lane, (2, 1, 1), batch_size=8)
    model.allowed.release(9)

    def cores_of_one() -> int:
        numbers(submit(batcher, 1))
        wait_until(lambda: not batcher._starts, "all lanes are idle again, a moment after the answer")
        return model.batches[-1][0]

    assert cores_of_one() == 2
    numbers(submit(batcher, 1, 2))
    met = batcher._met
    assert cores_of_one() == 1 or time.monotonic() > met + 0.3
    time.sleep(0.3)
    assert cores_of_one() == 2


def test_no_batch_is_larger_than_allowed(model):
    batcher = Batcher(model.in_lane, (1,), batch_size=4)
    futures = submit(batcher, *range(11))
    model.allowed.release(20)
    assert numbers(futures) == [2 * value for value in range(11)]
    assert [size for _, size in model.batches] == [1, 4, 4, 2]


def test_an_error_reaches_every_image_of_its_batch_and_no_other(model):
    batcher = Batcher(model.in_lane, (1,), batch_size=2)
    futures = submit(batcher, 1, 2, 13, 4, 5)
    model.allowed.release(10)
    wait(futures, timeout=PATIENCE_S)
    failed = [isinstance(future.exception(), ValueError) for future in futures]
    assert failed == [False, True, True, False, False]  # batches: 1; 2 and 13; 4 and 5


def test_what_is_too_old_is_not_computed(model):
    batcher = Batcher(model.in_lane, (1,), batch_size=8)
    first = submit(batcher, 1)
    assert model.started.acquire(timeout=PATIENCE_S)
    late, current = submit(batcher, 2, deadline=time.monotonic() + 0.05), submit(batcher, 3)
    time.sleep(0.1)
    model.allowed.release(2)
    assert numbers(first + current) == [2, 6]
    assert isinstance(late[0].exception(timeout=PATIENCE_S), Expired)
    assert model.batches == [(1, 1), (1, 1)]


def test_the_outcome_says_where_the_time_went(model):
    batcher = Batcher(model.in_lane, (1,), batch_size=8)
    first, second = submit(batcher, 1, 2)
    assert model.started.acquire(timeout=PATIENCE_S)
    time.sleep(0.1)
    model.allowed.release(2)
    assert first.result(timeout=PATIENCE_S).model_ms >= 100
    assert second.result(timeout=PATIENCE_S).queue_ms >= 100
    assert first.result().queue_ms < second.result().queue_ms


def test_batches_that_all_fail_are_given_up_and_single_failures_are_not(model):
    given_up = threading.Event()
    batcher = Batcher(model.in_lane, (1,), 8, given_up.set)

    def fails(value: int) -> bool:
        model.allowed.release()
        return submit(batcher, value)[0].exception(timeout=PATIENCE_S) is not None

    assert [fails(value) for value in (13, 13, 1, 13, 13, 1)] == [True, True, False] * 2
    assert not given_up.is_set()
    assert [fails(13) for _ in range(3)] == [True] * 3
    assert given_up.wait(PATIENCE_S)


def test_a_batch_that_hangs_is_given_up_when_the_next_image_comes(model, monkeypatch):
    given_up = threading.Event()
    batcher = Batcher(model.in_lane, (1,), 8, given_up.set)
    first = submit(batcher, 1)
    assert model.started.acquire(timeout=PATIENCE_S)
    second = submit(batcher, 2)
    assert not given_up.is_set()
    monkeypatch.setattr(module, "LONGEST_BATCH_S", 0)
    third = submit(batcher, 3)
    assert given_up.is_set()
    model.allowed.release(2)
    assert numbers(first + second + third) == [2, 4, 6]


def test_close_ends_the_threads_after_their_last_batch(model):
    batcher = Batcher(model.in_lane, (2, 1, 1), batch_size=8)
    (outcome,) = submit(batcher, 3)
    assert model.started.acquire(timeout=PATIENCE_S)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.allowed.release()
    closing.join(PATIENCE_S)
    assert numbers([outcome]) == [6]
    assert not any(thread.is_alive() for thread in batcher._threads)
