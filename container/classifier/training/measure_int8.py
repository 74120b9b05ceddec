"""Measures int8 for the server after training, on validation images, and adds the result to the artifact.

The server uses int8 by default only if it loses less accuracy than classifier.artifact allows.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from classifier import artifact, batches_compared, engine, machine, onnx_network
from classifier.artifact import Quantization, Range
from classifier.artifact_fields import INT8_FILE, LIMITS_INT8
from classifier.engine import OUTPUT, UNLIKENESS, Engine
from classifier.layers import CONVOLUTIONS
from classifier.training.artifact_files import add_networks
from classifier.training.data.batch import Batch
from classifier.training.data.batches import Batches
from classifier.training.interrupt import Interrupt
from classifier.words import plural

logger = logging.getLogger(__name__)
# Small batches stay in the processor's caches.
BATCH = 8
# 2,000 images of 224 px, for which two cores take a minute.
MOST_PIXELS = 100_000_000
NONE = np.empty(0, np.float32)
# uint8 pixels (n, size, size, 3) to probabilities, float32 (n, classes).
Classify = Callable[[np.ndarray], np.ndarray]


def add_int8(folder: Path, validation: Batches, interrupt: Interrupt) -> None:
    """Add the ranges that int8 needs, and the accuracy that it loses, to the artifact in `folder`.

    If it loses little, add the network in int8 too. The artifact stays as it is, and complete, if this machine does not
    compute in int8, or wrongly, or after a signal.
    """
    if "int8" not in engine.list_precisions():
        return
    about = artifact.read(folder)
    weights = artifact.read_weights(folder, about)
    most, cores = max(1, MOST_PIXELS // about.image_size**2), machine.usable_cores()
    measure = artifact.read_measure(folder, about)
    plain = Observed(Engine(engine.read(onnx_network.build_observed(about, weights, measure)), "fp32", cores))
    right, seen = count_right(plain, validation.pixels_of_some(most), interrupt)
    if not seen or not all(np.isfinite(plain.ranges[name]).all() for name in CONVOLUTIONS):
        return
    network = onnx_network.build(about, weights, plain.ranges, measure)
    run = Engine(engine.read(network), "int8", cores).open()
    unlikeness: list[np.ndarray] = []

    def classify(pixels: np.ndarray) -> np.ndarray:
        found = run(pixels)
        unlikeness.append(found.get(UNLIKENESS, NONE))
        return found[OUTPUT]

    _, difference = batches_compared.compare([classify], about.image_size, BATCH, len(about.classes))
    if difference > batches_compared.MOST_DIFFERENCE:
        logger.info("no int8: a probability of an image alone differs by %.2f from that in a batch", difference)
        return
    unlikeness.clear()
    in_int8, seen_again = count_right(classify, validation.pixels_of_some(most), interrupt)
    if interrupt.signal or seen_again != seen:
        return
    quantization = Quantization(plain.ranges, seen, (right - in_int8) / seen)
    about = replace(about, quantization=quantization)
    if about.unlikeness:
        limit = limit_in_int8(np.concatenate(unlikeness), np.concatenate(plain.unlikeness))
        about = replace(about, unlikeness=replace(about.unlikeness, limit_int8=limit))
    networks = {}
    if quantization.loses_little:
        networks[INT8_FILE] = onnx_network.build(about, weights, plain.ranges, measure)
    add_networks(folder, about, networks)
    logger.info("int8: right in %d of %s, without it in %d", in_int8, plural(seen, "validation image"), right)


class Observed:
    """A network in fp32 that keeps the range of each convolution's results, and all images' unlikeness."""

    def __init__(self, engine: Engine):
        self.run = engine.open()
        self.ranges: dict[str, Range] = dict.fromkeys(CONVOLUTIONS, (0.0, 0.0))
        self.unlikeness: list[np.ndarray] = []

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        found = self.run(pixels)
        for name, (low, high) in self.ranges.items():
            # numpy's, which keep a value that is not a number.
            new_low, new_high = np.minimum(low, found[f"{name}.low"]), np.maximum(high, found[f"{name}.high"])
            self.ranges[name] = float(new_low), float(new_high)
        self.unlikeness.append(found.get(UNLIKENESS, NONE))
        return found[OUTPUT]


def limit_in_int8(unlikeness: np.ndarray, exact: np.ndarray) -> float:
    """Return by how much int8 makes the unlikeness of the same images larger, by the median (n,)."""
    low, high = LIMITS_INT8
    return float(np.clip(np.median(unlikeness / np.maximum(exact, np.finfo(np.float32).tiny)), low, high))


def count_right(classify: Classify, batches: Iterator[Batch], interrupt: Interrupt) -> tuple[int, int]:
    """Return how many images of `batches` are classified rightly, and how many were seen until a signal."""
    right = seen = 0
    for batch in interrupt.watch(batches):
        for pixels, labels in zip(batch.inputs.split(BATCH), batch.labels.split(BATCH), strict=True):
            if interrupt.signal:
                return right, seen
            if len(labels):
                right += int((classify(pixels.numpy()).argmax(1) == labels.numpy()).sum())
                seen += len(labels)
    return right, seen
