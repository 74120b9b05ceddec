"""int8 for serving: measured on validation images when training has ended, and written into the artifact.

Serving takes it by itself only where it lost less accuracy than quantized.py allows.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from classifier import artifact, images, network, quantized
from classifier.artifact import Artifact, Quantization
from classifier.device import compute_dtype, serving_precision
from classifier.training.data.folders import Phase
from classifier.training.interrupt import Interrupt

logger = logging.getLogger(__name__)
CPU = torch.device("cpu")
BATCH = 8
# 2,000 images of 224 px, which take two cores a minute; others are left out evenly.
MOST_PIXELS = 100_000_000


def add(folder: Path, phase: Phase, interrupt: Interrupt) -> None:
    """Add to the artifact in `folder` what int8 needs and what it loses, measured on `phase`.

    Without it the artifact is whole too, and stays so on a machine that does not compute in int8, or after a signal.
    """
    if not quantized.is_possible(CPU):
        return
    about = artifact.read(folder)
    model = network.build(len(about.classes), about.eps)
    model.load_state_dict(artifact.load_weights(folder))
    plain, ranges = quantized.observe(model.eval(), about.image_size)
    right, seen = count_right(plain, about, phase, interrupt)
    if not seen or not all(map(math.isfinite, sum(ranges.values(), ()))):
        return
    first = compute_dtype(serving_precision("auto", CPU), CPU)
    in_int8 = quantized.QuantizedNetwork(model, about.image_size, ranges, first)
    right_in_int8, seen_again = count_right(in_int8, about, phase, interrupt)
    if interrupt.signal or seen_again != seen:
        return
    replace(about, quantization=Quantization(ranges, seen, (right - right_in_int8) / seen)).save_metadata(folder)
    logger.info("int8: right in %d of %d validation images, without it in %d", right_in_int8, seen, right)


@torch.inference_mode()
def count_right(model: Callable, about: Artifact, phase: Phase, interrupt: Interrupt) -> tuple[int, int]:
    """The images that `model` classifies rightly, and how many it has seen when all are over, or a signal came."""
    normalize = network.Normalize(about.mean, about.std)
    right = seen = 0
    for pixels, labels in batches(phase, about.image_size):
        if interrupt.signal:
            break
        right += (model(normalize(pixels)).argmax(1) == labels).sum().item()
        seen += len(labels)
    return right, seen


def batches(phase: Phase, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """uint8 pixels (n, size, size, 3) and labels (n,) of the readable images, or of some spread evenly over them."""
    step = math.ceil(len(phase) * size**2 / MOST_PIXELS)
    chosen = range(0, len(phase), step)
    for start in range(0, len(chosen), BATCH):
        pixels, labels = [], []
        for i in chosen[start : start + BATCH]:
            with contextlib.suppress(images.ImageError, OSError):  # validation has named and counted it
                pixels.append(images.evaluation_pixels((phase.folder / phase.files[i]).read_bytes(), size))
                labels.append(phase.labels[i])
        if pixels:
            yield torch.from_numpy(np.stack(pixels)), torch.tensor(labels)
