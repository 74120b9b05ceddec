"""Pixels to rows: the model in memory, on this machine's device, and the threads that it may run in."""

import logging
import math
from pathlib import Path
from typing import Protocol

import numpy as np

from classifier import batches_compared, machine
from classifier.artifact import Artifact
from classifier.errors import UserError
from classifier.serving.batcher import Forward
from classifier.words import plural

log = logging.getLogger(__name__)


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
        """Return the function that runs the network in the calling thread, with this many cores.

        If there are several lanes, the first one has one image at a time.
        Its rows have the artifact's row_width: the probabilities and, if it is measured, the unlikeness.
        """
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
    return load_on_cpu(folder, about, precision, cores)


def load_on_cpu(
    folder: Path, about: Artifact, precision: str = "auto", cores: int | None = None, small: bool = False
) -> Predictor:
    """Load the network for the processor, as OpenVinoPredictor does, and run it in each way.

    Where the engine is wrong in int8, "auto" is another precision.
    """
    from classifier import engine  # takes a while to import, and a GPU does without
    from classifier.serving.openvino_predictor import OpenVinoPredictor

    predictor = OpenVinoPredictor(folder, about, precision, cores, small)
    try:
        warm_up(predictor)
    except BatchDependent as error:
        native = engine.native_precision()
        if precision != "auto" or predictor.precision == native:
            raise
        log.warning("%s; %s is used instead", error, native)
        return load_on_cpu(folder, about, native, cores, small)
    return predictor


def warm_up(predictor: Predictor) -> None:
    """Classify noise, alone and in a batch, in this thread alone: see Engine.

    Raises UserError if its rows are not finite, or not those of the artifact, and BatchDependent if the probabilities
    of an image alone are others than in a batch.
    """
    about, n = predictor.artifact, predictor.batch_size
    # The first lane has batches only if it is the only one.
    forwards = [predictor.in_lane(cores) for cores in dict.fromkeys(predictor.lanes)]
    rows, difference = batches_compared.compare(forwards, about.image_size, n, len(about.classes))
    if rows.shape != (n, about.row_width):
        raise UserError(
            f"the network returns {rows.shape[1:]} for an image; expected: {plural(about.row_width, 'value')}"
        )
    if not math.isfinite(difference) or not np.isfinite(rows).all():
        raise UserError("the model artifact is damaged: its answers for an image of noise are not finite")
    if difference > batches_compared.MOST_DIFFERENCE:
        raise BatchDependent(
            f"in precision {predictor.precision} a probability of an image alone differs by {difference:.2f} from that "
            f"of the same image in a batch of {n}"
        )
