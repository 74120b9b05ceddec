"""Pixels to probabilities: the model in memory, on this machine's device, and the threads that it may run in."""

import itertools
from pathlib import Path
from typing import Protocol

import numpy as np

from classifier import machine
from classifier.artifact import Artifact
from classifier.errors import UserError
from classifier.serving.batcher import Forward


class Predictor(Protocol):
    """An artifact's network, ready for several threads at once."""

    artifact: Artifact
    device: str  # in words
    precision: str
    batch_size: int  # the largest
    lanes: tuple[int, ...]  # the cores of each thread that runs the model: the first has all cores

    def in_lane(self, cores: int) -> Forward:
        """Return the function that runs the network in the calling thread, with this many cores."""
        ...


def load_predictor(folder: Path, about: Artifact, precision: str = "auto", cores: int | None = None) -> Predictor:
    """Load the network in `folder`, with torch for a GPU and else with OpenVINO on `cores`, and run it in each way.

    Raises UserError if the machine has a GPU that cannot be used, or does not support `precision`, or if the network is
    damaged.
    """
    if machine.has_gpu():
        from classifier.serving.torch_predictor import TorchPredictor  # takes seconds to import

        predictor: Predictor = TorchPredictor(folder, about, precision)
    else:
        from classifier.serving.openvino_predictor import OpenVinoPredictor

        predictor = OpenVinoPredictor(folder, about, precision, cores)
    warm_up(predictor)
    return predictor


def warm_up(predictor: Predictor) -> None:
    """Classify blank images, alone and in a batch, in this thread alone: see Engine.

    Raises UserError if the probabilities are not finite, or not those of the artifact's classes.
    """
    about = predictor.artifact
    for cores, n in itertools.product(dict.fromkeys(predictor.lanes), (1, predictor.batch_size)):
        found = predictor.in_lane(cores)(np.zeros((n, about.image_size, about.image_size, 3), np.uint8))
        if found.shape != (n, len(about.classes)):
            raise UserError(
                f"the network returns {found.shape[1:]} for an image; expected: {len(about.classes)} classes"
            )
        if not np.isfinite(found).all():
            raise UserError("the model artifact is damaged: its probabilities for a blank image are not finite")
