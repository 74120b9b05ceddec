"""A front's RemoteModels and their Owners, in one process here."""

import time

import numpy as np
import pytest

from classifier.serving import remote
from classifier.serving.batcher import Expired, Outcome
from classifier.serving.owner import Owner
from classifier.serving.remote import ModelGone
from classifier.serving.remote_models import RemoteModels
from classifier.serving.slots import SLOTS, Slots
from held_images import CLASSES, SIZE, Held, image, soon
from waits import PATIENCE_S, wait_until

ANSWER = Outcome(np.zeros(CLASSES, np.float32), 0, 0, 1)


@pytest.fixture
def slots() -> list[Slots]:
    """Of two models and two fronts."""
    return Slots.of_each(2, 2, SIZE, CLASSES)


def own(slots: list[Slots]) -> list[Held]:
    held = [Held() for _ in slots]
    for one, model in zip(slots, held, strict=True):
        Owner(one, model.submit)
    return held


def test_the_one_with_fewest_images_gets_the_next(slots):
    assert [one.number for one in slots] == [SLOTS // 2] * 2
    front = RemoteModels(slots, 0)
    assert not front.is_ready()
    with pytest.raises(ModelGone):
        front.submit(image(1), soon()).result(PATIENCE_S)
    held = own(slots)
    for value in range(6):
        front.submit(image(value), soon())
    for model in held:
        model.wait_for(3)
    slots[0].end()
    assert front.is_ready()


def test_fewest_are_those_of_all_fronts(slots):
    """A front that has one image at a time would else give all to the first model, as all others do."""
    fronts, held = [RemoteModels(slots, front) for front in range(2)], own(slots)
    for _ in range(4):
        fronts[0].submit(image(1), soon())
    for model in held:
        model.wait_for(2)
    held[1].images[0][1].set_result(ANSWER)
    wait_until(lambda: np.count_nonzero(slots[1].owners) == 1, "its slot is free")
    fronts[1].submit(image(2), soon())
    held[1].wait_for(3)
    assert held[1].images[-1][0].max() == 2


def test_where_all_have_as_few_each_front_prefers_another(slots):
    fronts, held = [RemoteModels(slots, front) for front in range(2)], own(slots)
    for front, model in zip(fronts, held, strict=True):
        front.submit(image(1), soon())
        model.wait_for(1)
        model.images[0][1].set_result(ANSWER)
        wait_until(lambda: not any(one.owners.any() for one in slots), "all slots are free")


def test_a_model_without_a_free_slot_gets_no_image(slots):
    fronts, held = [RemoteModels(slots, front) for front in range(2)], own(slots)
    alone, number = fronts[0]._models[0], SLOTS // 2
    for _ in range(number):
        alone.submit(image(1), soon())
    held[0].wait_for(number)
    for _ in range(number + 1):  # now the other model has more
        fronts[1]._models[0].submit(image(1), time.monotonic())
    held[1].wait_for(number)
    fronts[0].submit(image(2), soon())
    held[1].wait_for(number + 1)


def test_what_a_model_had_when_it_ended_another_answers(slots):
    front, held = RemoteModels(slots, 0), own(slots)
    outcomes = [front.submit(image(value), soon()) for value in range(6)]
    for model in held:
        model.wait_for(3)
    slots[0].end()
    held[1].wait_for(6)
    for _, outcome in held[1].images:
        outcome.set_result(ANSWER)
    assert [outcome.result(PATIENCE_S).batch_size for outcome in outcomes] == [1] * 6


def test_an_image_is_moved_once_since_it_may_be_what_ends_a_model():
    slots = Slots.of_each(3, 1, SIZE, CLASSES)
    front, held = RemoteModels(slots, 0), own(slots)
    outcome = front.submit(image(1), soon())
    held[0].wait_for(1)
    slots[0].end()
    held[1].wait_for(1)
    slots[1].end()
    with pytest.raises(ModelGone):
        outcome.result(PATIENCE_S)
    assert not held[2].images


def test_what_a_silent_model_has_another_answers_and_it_gets_no_more(slots, monkeypatch):
    monkeypatch.setattr(remote, "SILENT_S", 0.1)
    front, held = RemoteModels(slots, 0), own(slots)
    outcome = front.submit(image(1), soon())
    held[0].wait_for(1)
    held[1].wait_for(1)
    held[1].images[0][1].set_result(ANSWER)
    assert outcome.result(PATIENCE_S) is not None
    assert np.count_nonzero(slots[0].owners) == 1  # it may still read the slot
    for number in range(2, 5):
        front.submit(image(number), soon())
        held[1].wait_for(number)
        held[1].images[-1][1].set_result(ANSWER)
    assert len(held[0].images) == 1
    held[0].images[0][1].set_result(ANSWER)
    wait_until(lambda: not slots[0].owners.any(), "the late answer frees its slot")


def test_what_no_other_model_has_room_for_is_refused(slots):
    front, held = RemoteModels(slots, 0), own(slots)
    outcomes = [front.submit(image(1), soon()) for _ in range(SLOTS)]
    for model in held:
        model.wait_for(SLOTS // 2)
    slots[0].end()
    wait_until(lambda: sum(outcome.done() for outcome in outcomes) == SLOTS // 2, "half of them are refused")
    assert {type(outcome.exception(0)) for outcome in outcomes if outcome.done()} == {Expired}
