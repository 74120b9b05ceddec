"""The models of several GPUs behind one front: which of them gets an image, and who answers for one that cannot."""

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

import numpy as np

from classifier.serving.remote import ModelGone, RemoteModel
from classifier.serving.slots import Slots


class RemoteModels:
    """The models of several GPUs behind one front, as one. submit() is a Batcher's."""

    def __init__(self, slots: Sequence[Slots], front: int):
        """Use the slots of front number `front` in those of each model's process."""
        models = [RemoteModel(one, front) for one in slots]
        for model in models:
            model.others = [other for other in models if other is not model]
        # Where all have as few images, each front prefers another one.
        first = front % len(models)
        self._models = models[first:] + models[:first]

    def is_ready(self) -> bool:
        """Return whether any process of the model answers."""
        return any(model.is_ready() for model in self._models)

    def submit(self, pixels: np.ndarray, deadline: float) -> Future:
        """Queue one image with the process that has fewest, as RemoteModel.submit().

        If that one ends or is silent, another one that answers gets the image, if it has a slot; but no third one,
        since an image may be what ends them.
        """
        outcome: Future = Future()
        model = _best(self._models)
        asked = model.submit(pixels, deadline)
        asked.add_done_callback(partial(_answer_or_move, outcome, model, pixels, deadline))
        return outcome


def _best(models: Sequence[RemoteModel]) -> RemoteModel:
    return min(models, key=lambda model: model.rank)


def _answer_or_move(outcome: Future, model: RemoteModel, pixels: np.ndarray, deadline: float, asked: Future) -> None:
    answering = [other for other in model.others if other.is_ready()]
    if answering and isinstance(asked.exception(), ModelGone):
        moved = _best(answering).submit(pixels, deadline, may_move=False, waits=False)
        moved.add_done_callback(partial(_pass_on, outcome))
    else:
        _pass_on(outcome, asked)


def _pass_on(outcome: Future, found: Future) -> None:
    if error := found.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(found.result())
