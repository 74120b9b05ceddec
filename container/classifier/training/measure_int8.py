"""Measures int8 for the server after training, on validation images, and adds the result to the artifact.

The server uses int8 by default only if it loses less accuracy than quantized.py allows.
"""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from classifier import artifact, network, quantized
from classifier.artifact import Artifact, Quantization
from classifier.device import compute_dtype, serving_precision
from classifier.training.data.batch import Batch
from classifier.training.data.batches import Batches
from classifier.training.interrupt import Interrupt

logger = logging.getLogger(__name__)
CPU = torch.device("cpu")
# Small batches stay in the processor's caches.
BATCH = 8
# 2,000 images of 224 px, for which two cores take a minute.
MOST_PIXELS = 100_000_000


def add_int8(folder: Path, validation: Batches, interrupt: Interrupt) -> None:
    """Add the ranges that int8 needs, and the accuracy that it loses, to the artifact in `folder`.

    The artifact stays as it is, and complete, if this machine does not compute in int8, or after a signal.
    """
    if not quantized.is_possible(CPU):
        return
    about = artifact.read(folder)
    model = network.build(len(about.classes), about.eps)
    model.load_state_dict(artifact.load_weights(folder))
    most = max(1, MOST_PIXELS // about.image_size**2)
    plain, ranges = quantized.observe(model.eval(), about.image_size)
    right, seen = count_right(plain, about, validation.pixels_of_some(most), interrupt)
    if not seen or not all(math.isfinite(value) for low_high in ranges.values() for value in low_high):
        return
    dtype = compute_dtype(serving_precision("auto", CPU), CPU)
    in_int8 = quantized.quantize(model, about.image_size, ranges, dtype)
    right_in_int8, seen_again = count_right(in_int8, about, validation.pixels_of_some(most), interrupt)
    if interrupt.signal or seen_again != seen:
        return
    replace(about, quantization=Quantization(ranges, seen, (right - right_in_int8) / seen)).save_metadata(folder)
    logger.info("int8: right in %d of %d validation images, without it in %d", right_in_int8, seen, right)


@torch.inference_mode()
def count_right(
    model: Callable[[torch.Tensor], torch.Tensor], about: Artifact, batches: Iterator[Batch], interrupt: Interrupt
) -> tuple[int, int]:
    """Return how many images of `batches` the model classifies rightly, and how many it has seen until a signal."""
    normalize = network.Normalize(about.mean, about.std)
    right = seen = 0
    for batch in interrupt.watch(batches):
        for pixels, labels in zip(batch.inputs.split(BATCH), batch.labels.split(BATCH), strict=True):
            if interrupt.signal:
                return right, seen
            if len(labels):
                right += int((model(normalize(pixels)).argmax(1) == labels).sum())
                seen += len(labels)
    return right, seen
