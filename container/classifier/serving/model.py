"""A loaded model as the applications see it: they know neither its network nor its engine."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from classifier.activation_maps import ActivationMaps
from classifier.artifact import Artifact
from classifier.artifact_fields import WEIGHTS_FILE
from classifier.serving.batcher import Batcher
from classifier.serving.exits import stop_worker
from classifier.serving.predictor import Predictor


class Model(NamedTuple):
    """The loaded model: a short description, its classes, the side of its input in pixels, and a batcher's submit().

    `maps`, where there are any, explain its answers. `is_ready` says whether it can answer now; `check` ends this
    process if it hangs. After `close` nobody may submit. `named` is what a result has if it is asked which model
    answers: see name().
    """

    about: str
    classes: tuple[str, ...]
    image_size: int
    submit: Callable[[np.ndarray, float], Future]
    maps: ActivationMaps | None = None
    is_ready: Callable[[], bool] = lambda: True
    check: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None
    named: Mapping[str, str] = MappingProxyType({})


def model_of(
    predictor: Predictor, give_up: Callable[[], None] = stop_worker, maps: ActivationMaps | None = None
) -> Model:
    """Return the Model of a loaded predictor, with a batcher in front of it that gives up when all batches fail."""
    batcher = Batcher(predictor.in_lane, predictor.lanes, predictor.batch_size, give_up)
    about = predictor.artifact
    words = f"{about.architecture} on {predictor.device} in {predictor.precision}"
    return Model(
        *(words, about.classes, about.image_size, batcher.submit, maps),
        check=batcher.check,
        close=batcher.close,
        named=name(about),
    )


def name(about: Artifact) -> dict[str, str]:
    """Return the SHA-256 of an artifact's weights, "" if its model.json has none, and of all that decides an answer."""
    return {"model_sha256": about.sha256.get(WEIGHTS_FILE, ""), "answers_key": about.answers_key}


def open_maps(folder: Path, about: Artifact, precision: str, cores: int) -> ActivationMaps:
    """Return what explains the answers of the artifact in `folder`, in a precision that this processor supports."""

    def read() -> bytes:
        from classifier.serving.openvino_predictor import read_network  # with the engine, for the first who asks

        return read_network(folder, about, precision == "int8")

    return ActivationMaps(read, folder, precision, cores)
