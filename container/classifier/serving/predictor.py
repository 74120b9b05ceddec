"""Pixels to probabilities: the model in memory, on this machine's device, and the threads that it may run in."""

import math
from pathlib import Path
from typing import Protocol

from classifier import engine, machine
from classifier.artifact import Artifact
from classifier.errors import UserError
from classifier.serving.batcher import Forward


class BatchDependent(UserError):
    """The engine is wrong: it answers an image alone differently from the same image in a batch."""


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

        predictor = TorchPredictor(folder, about, precision)
        warm_up(predictor)
        return predictor
    from classifier.serving.openvino_predictor import load_on_cpu

    return load_on_cpu(folder, about, precision, cores)


def warm_up(predictor: Predictor) -> None:
    """Classify noise, alone and in a batch, in this thread alone: see Engine.

    Raises UserError if the probabilities are not finite, or not those of the artifact's classes, and BatchDependent if
    those of an image alone are others than in a batch.
    """
    about, n = predictor.artifact, predictor.batch_size
    # The first lane has batches only if it is the only one.
    forwards = [predictor.in_lane(cores) for cores in dict.fromkeys(predictor.lanes)]
    rows, difference = engine.compare_batches(forwards, about.image_size, n)
    if rows.shape != (n, len(about.classes)):
        raise UserError(f"the network returns {rows.shape[1:]} for an image; expected: {len(about.classes)} classes")
    if not math.isfinite(difference):
        raise UserError("the model artifact is damaged: its probabilities for an image of noise are not finite")
    if difference > engine.MOST_DIFFERENCE:
        raise BatchDependent(
            f"in precision {predictor.precision} a probability of an image alone differs by {difference:.2f} from that "
            f"of the same image in a batch of {n}"
        )
