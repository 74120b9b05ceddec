"""Adds model.onnx to the artifact after training, once its answers are those of torch's network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from classifier import artifact, engine, machine, network, onnx_network
from classifier.artifact import Artifact
from classifier.artifact_fields import NETWORK_FILE
from classifier.engine import OUTPUT, UNLIKENESS, Engine
from classifier.errors import UserError
from classifier.training.artifact_files import add_networks
from classifier.unlikeness import Measure

# Both add in float32, in another order.
MOST_DIFFERENCE = 1e-3


def add_onnx(folder: Path) -> None:
    """Add the network in fp32 to the artifact in `folder`.

    Raises OSError, and UserError if its answers are not the network's; the artifact then stays as it is.
    """
    about = artifact.read(folder)
    weights = artifact.read_weights(folder, about)
    measure = artifact.read_measure(folder, about)
    file = onnx_network.build(about, weights, measure=measure)
    difference = compare(file, about, weights, measure)
    if difference > MOST_DIFFERENCE:
        sentence = f"an answer differs by {difference:.3f} from the network's; accepted: up to {MOST_DIFFERENCE}"
        raise UserError(f"{folder / NETWORK_FILE}: {sentence}")
    add_networks(folder, about, {NETWORK_FILE: file})


@torch.inference_mode()
def compare(file: bytes, about: Artifact, weights: Mapping[str, np.ndarray], measure: Measure | None) -> float:
    """Return by how much the ONNX `file` differs at most from torch's network, for images of noise.

    That is in a probability, or in an unlikeness as a part of it if that is above 1.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (2, about.image_size, about.image_size, 3), dtype=np.uint8)
    model = network.load(about, weights)
    features = model.features(network.Normalize(about.mean, about.std)(torch.from_numpy(pixels)))
    expected = {OUTPUT: (model.fc(features) / about.temperature).softmax(1).numpy()}
    if measure:
        expected[UNLIKENESS] = measure.of(features.numpy())
    found = Engine(engine.read(file), "fp32", machine.usable_cores()).open()(pixels)
    return max(float((np.abs(found[name] - one) / np.maximum(1, one)).max()) for name, one in expected.items())
