"""A front's RemoteModel and an Owner, in one process here."""

import threading
import time
from concurrent.futures import Future, wait

import numpy as np
import pytest

from classifier.serving import owner, remote
from classifier.serving.batcher import Expired, Outcome
from classifier.serving.owner import Owner
from classifier.serving.remote import ModelFailed, ModelGone, RemoteModel
from classifier.serving.slots import SLOTS, Slots
from held_images import CLASSES, SIZE, Held, image, soon
from waits import PATIENCE_S, wait_until


@pytest.fixture
def slots() -> Slots:
    return Slots(2, SIZE, CLASSES)


def submit(pixels: np.ndarray, deadline: float) -> Future:
    """Answer an image of one value with that value."""
    outcome: Future = Future()
    value = int(pixels[0, 0, 0])
    if value == 99:
        outcome.set_exception(ZeroDivisionError())
    elif deadline < time.monotonic():
        outcome.set_exception(Expired())
    else:
        outcome.set_result(Outcome(np.full(CLASSES, value, np.float32), 1.5, 2.5, 7))
    return outcome


def test_every_image_gets_its_own_outcome(slots):
    fronts = [RemoteModel(slots, front) for front in range(2)]
    Owner(slots, submit)
    asked = [(value, fronts[value % 2].submit(image(value), soon())) for value in range(90)]
    for value, outcome in asked:
        row, *measured = outcome.result(PATIENCE_S)
        assert row.tolist() == [value] * CLASSES
        assert measured == [1.5, 2.5, 7]
    assert not slots.owners.any()


def test_more_images_than_slots_wait_for_one(slots):
    front, held = RemoteModel(slots, 0), Held()
    Owner(slots, held.submit)
    for _ in range(SLOTS):
        front.submit(image(1), soon())
    held.wait_for(SLOTS)
    with pytest.raises(Expired):
        front.submit(image(2), time.monotonic() + 0.05).result(0)
    late: list[Future] = []
    threading.Thread(target=lambda: late.append(front.submit(image(2), soon())), daemon=True).start()
    held.images[0][1].set_result(Outcome(np.zeros(CLASSES, np.float32), 0, 0, 1))
    held.wait_for(SLOTS + 1)
    assert held.images[-1][0].max() == 2


def test_errors_cross_the_link(slots, caplog):
    front = RemoteModel(slots, 0)
    Owner(slots, submit)
    with pytest.raises(ModelFailed):
        front.submit(image(99), soon()).result(PATIENCE_S)
    assert "ZeroDivisionError" in caplog.text
    with pytest.raises(Expired):
        front.submit(image(1), time.monotonic() - 1).result(PATIENCE_S)
    assert front.submit(image(5), soon()).result(PATIENCE_S).row.tolist() == [5] * CLASSES


def test_without_an_owner_nothing_waits(slots):
    front = RemoteModel(slots, 0)
    assert not front.is_ready()
    with pytest.raises(ModelGone):
        front.submit(image(1), soon()).result(PATIENCE_S)


def test_what_an_owner_had_when_it_ended_fails_and_the_next_one_answers(slots):
    front, held = RemoteModel(slots, 0), Held()
    Owner(slots, held.submit)
    lost = [front.submit(image(value), soon()) for value in range(10)]
    held.wait_for(10)
    slots.end()
    wait(lost, PATIENCE_S)
    assert {type(outcome.exception(0)) for outcome in lost} == {ModelGone}
    assert not front.is_ready()
    assert not slots.owners.any()


def test_a_query_for_an_earlier_owner_is_passed_over(slots):
    """As one that waited in the link while there was no owner."""
    front, held = RemoteModel(slots, 0), Held()
    slots.begin()
    lost = front.submit(image(1), soon())
    Owner(slots, held.submit)
    with pytest.raises(ModelGone):
        lost.result(PATIENCE_S)
    front.submit(image(2), soon())
    held.wait_for(1)
    assert held.images[0][0].max() == 2


def test_a_new_front_leaves_the_slots_alone_that_are_still_with_the_model(slots):
    held = Held()
    Owner(slots, held.submit)
    RemoteModel(slots, 0).submit(image(1), soon())
    held.wait_for(1)
    taken = int(np.flatnonzero(slots.owners[0])[0])
    front = RemoteModel(slots, 0)
    for _ in range(SLOTS - 1):
        front.submit(image(2), soon())
    held.wait_for(SLOTS)
    assert slots.pixels[0, taken].max() == 1
    slots.end()
    wait_until(lambda: not slots.owners.any(), "all slots are free again")


def test_slots_that_no_reply_frees_are_free_after_a_while(slots, monkeypatch):
    monkeypatch.setattr(remote, "LEFT_S", 0)
    slots.begin()
    slots.owners[0] = slots.owner
    front = RemoteModel(slots, 0)
    wait_until(lambda: not slots.owners.any(), "all slots are free again")
    assert front.is_ready()


def test_a_model_that_answers_nothing_is_silent_until_it_does(slots, monkeypatch):
    monkeypatch.setattr(remote, "SILENT_S", 0.1)
    front, held = RemoteModel(slots, 0), Held()
    Owner(slots, held.submit)
    time.sleep(0.2)
    assert not front.is_silent  # it has nothing to answer
    outcome = front.submit(image(1), soon())
    held.wait_for(1)
    wait_until(lambda: front.is_silent, "it is silent")
    assert not outcome.done()  # there is no other model
    held.images[0][1].set_result(Outcome(np.zeros(CLASSES, np.float32), 0, 0, 1))
    outcome.result(PATIENCE_S)
    assert not front.is_silent


def test_a_model_that_hangs_is_noticed_though_no_image_comes(slots, monkeypatch):
    monkeypatch.setattr(owner, "CHECK_S", 0.01)
    checked = threading.Event()
    Owner(slots, submit, checked.set)
    assert checked.wait(PATIENCE_S)
