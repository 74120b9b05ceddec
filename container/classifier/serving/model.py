"""A loaded model as the applications see it: they know neither its network nor its engine."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from classifier.serving.batcher import Batcher
from classifier.serving.exits import stop_worker
from classifier.serving.predictor import Predictor


class Model(NamedTuple):
    """The loaded model: a short description, its classes, the side of its input in pixels, and a batcher's submit().

    `is_ready` says whether it can answer now. After `close` nobody may submit.
    """

    about: str
    classes: tuple[str, ...]
    image_size: int
    submit: Callable[[np.ndarray, float], Future]
    is_ready: Callable[[], bool] = lambda: True
    close: Callable[[], None] = lambda: None


def model_of(predictor: Predictor, give_up: Callable[[], None] = stop_worker) -> Model:
    """Return the Model of a loaded predictor, with a batcher in front of it that gives up when all batches fail."""
    batcher = Batcher(predictor.in_lane, predictor.lanes, predictor.batch_size, give_up)
    about = predictor.artifact
    words = f"{about.architecture} on {predictor.device} in {predictor.precision}"
    return Model(words, about.classes, about.image_size, batcher.submit, close=batcher.close)
