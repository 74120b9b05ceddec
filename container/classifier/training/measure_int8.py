"""Measures int8 for the server after training, on validation images, and adds the result to the artifact.

The images are read once, from those that validation has kept decoded. By some of them ranges are measured and weights
rounded; all are then classified in int8, and compared with what the best epoch's validation found of the same images.
The server uses int8 by default only if it loses less accuracy than classifier.artifact allows.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from classifier import artifact, batches_compared, engine, machine, onnx_network
from classifier.artifact import Artifact, Quantization, Range
from classifier.artifact_fields import INT8_FILE, LIMITS_INT8
from classifier.engine import OUTPUT, UNLIKENESS, Engine
from classifier.folding import fold
from classifier.layers import CONVOLUTIONS, STEM
from classifier.training.artifact_files import add_networks
from classifier.training.data.batches import Batches
from classifier.training.evaluate import Evaluation
from classifier.training.interrupt import Interrupt
from classifier.training.rounding import patches, round_weights
from classifier.words import plural

logger = logging.getLogger(__name__)
# Small batches stay in the processor's caches.
BATCH = 8
# More images only widen the ranges, and each step of int8 with them: benchmarks/diary.md.
RANGE_IMAGES = 96
# 2,000 images of 224 px, each 20 ms of a core: benchmarks/diary.md.
MOST_PIXELS = 100_000_000
NONE = np.empty(0, np.float32)
# Position, and uint8 pixels (size, size, 3).
Image = tuple[int, np.ndarray]
# A network: pixels to its results by their names.
Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def add_int8(folder: Path, validation: Batches, validated: Evaluation, interrupt: Interrupt) -> None:
    """Add the ranges that int8 needs, and the accuracy that it loses, to the artifact in `folder`.

    `validated` is what validation found with the artifact's weights. If int8 loses little, add the network in int8 too.
    The artifact stays as it is, and complete, if this machine does not compute in int8, or wrongly, or after a signal.
    """
    if "int8" not in engine.list_precisions():
        return
    about = artifact.read(folder)
    weights = artifact.read_weights(folder, about)
    measure, cores = artifact.read_measure(folder, about), machine.usable_cores()
    order = choose(len(validation.phase), max(1, MOST_PIXELS // about.image_size**2))
    images = interrupt.watch(validation.pixels_of(order))
    first = list(islice(images, RANGE_IMAGES))
    observed = Engine(engine.read(onnx_network.build_observed(about, weights, measure)), "fp32", cores)
    ranges, given, exact = observe(observed, first)
    if not first or not all(np.isfinite(ranges[name]).all() for name in CONVOLUTIONS):
        return
    rounded = {  # what was kept for a layer, tens of MB, is free after it
        name: round_weights(fold(weights, CONVOLUTIONS[name], about.eps)[0], np.concatenate(given.pop(name)))
        for name in tuple(given)
    }
    network = onnx_network.build(about, weights, ranges, measure, rounded)
    run = Engine(engine.read(network), "int8", cores).open()
    if not are_batches_right(run, about):
        return
    predicted, unlikeness = classify(run, chain(first, images))
    right, in_int8, seen = compare(predicted, validated)
    if interrupt.signal or not seen:
        return
    quantization = Quantization(ranges, seen, (right - in_int8) / seen)
    about = replace(about, quantization=quantization)
    if about.unlikeness:
        limit = limit_in_int8(unlikeness[: len(exact)], exact)
        about = replace(about, unlikeness=replace(about.unlikeness, limit_int8=limit))
        network = onnx_network.build(about, weights, ranges, measure, rounded)
    add_networks(folder, about, {INT8_FILE: network} if quantization.loses_little else {})
    logger.info("int8: right in %d of %s, without it in %d", in_int8, plural(seen, "validation image"), right)


def are_batches_right(run: Run, about: Artifact) -> bool:
    """Return whether an image alone has the probabilities that it has in a batch."""
    compared = [lambda pixels: run(pixels)[OUTPUT]]
    _, difference = batches_compared.compare(compared, about.image_size, BATCH, len(about.classes))
    if difference > batches_compared.MOST_DIFFERENCE:
        logger.info("no int8: a probability of an image alone differs by %.2f from that in a batch", difference)
        return False
    return True


def classify(run: Run, images: Iterable[Image]) -> tuple[dict[int, int], np.ndarray]:
    """Return each image's class by its position, and the images' unlikeness in their order (n,) if it is measured."""
    predicted: dict[int, int] = {}
    unlikeness = [NONE]
    for positions, pixels in batched(images):
        found = run(pixels)
        predicted.update(zip(positions, found[OUTPUT].argmax(1).tolist(), strict=True))
        unlikeness.append(found.get(UNLIKENESS, NONE))
    return predicted, np.concatenate(unlikeness)


def batched(images: Iterable[Image]) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield the positions and pixels (n, size, size, 3) of up to BATCH images at a time."""
    rest = iter(images)
    while some := list(islice(rest, BATCH)):
        yield [position for position, _ in some], np.stack([pixels for _, pixels in some])


def choose(images: int, most: int) -> list[int]:
    """Return up to `most` positions of so many images: first RANGE_IMAGES, then the others, both spread evenly."""
    chosen = spread(images, most)
    first = chosen[spread(len(chosen), RANGE_IMAGES)]
    return [*first.tolist(), *np.setdiff1d(chosen, first).tolist()]


def spread(images: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, images - 1, min(images, most)).round().astype(int))


def observe(network: Engine, images: list[Image]) -> tuple[dict[str, Range], dict[str, list[np.ndarray]], np.ndarray]:
    """Return what int8 is made by, and the images' unlikeness (n,) if any.

    That is the range of each convolution's results, over all images and 0, and patches() of each image for those whose
    weights are rounded.
    """
    ranges: dict[str, Range] = dict.fromkeys(CONVOLUTIONS, (0.0, 0.0))
    given: dict[str, list[np.ndarray]] = {name: [] for name in CONVOLUTIONS if name != STEM}
    unlikeness, run, random = [NONE], network.open(), np.random.default_rng(0)
    for _, pixels in images:  # one at a time: the inputs of all convolutions are 150 MB for an image of 1024 px
        found = run(pixels[None])
        for name, (low, high) in ranges.items():
            # numpy's, which keep a value that is not a number.
            new_low, new_high = np.minimum(low, found[f"{name}.low"]), np.maximum(high, found[f"{name}.high"])
            ranges[name] = float(new_low), float(new_high)
        for name, some in given.items():
            some.append(patches(found[f"{name}.input"][0], CONVOLUTIONS[name], random))
        unlikeness.append(found.get(UNLIKENESS, NONE))
    return ranges, given, np.concatenate(unlikeness)


def limit_in_int8(unlikeness: np.ndarray, exact: np.ndarray) -> float:
    """Return by how much int8 makes the unlikeness of the same images larger, by the median (n,)."""
    low, high = LIMITS_INT8
    return float(np.clip(np.median(unlikeness / np.maximum(exact, np.finfo(np.float32).tiny)), low, high))


def compare(predicted: dict[int, int], validated: Evaluation) -> tuple[int, int, int]:
    """Return how many images validation had right, how many are right as `predicted`, and how many both have seen.

    `predicted` has each image's class by its position.
    """
    both = [row for row, position in enumerate(validated.positions.tolist()) if position in predicted]
    labels, before = validated.labels[both], validated.predicted[both]
    now = np.array([predicted[position] for position in validated.positions[both].tolist()], int)
    return int((before == labels).sum()), int((now == labels).sum()), len(both)
