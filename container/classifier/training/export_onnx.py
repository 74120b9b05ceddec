"""Adds model.onnx to the artifact after training, once its answers are those of torch's network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from classifier import artifact, engine, machine, network, onnx_network
from classifier.artifact import Artifact
from classifier.artifact_fields import NETWORK_FILE
from classifier.engine import OUTPUT, Engine
from classifier.errors import UserError
from classifier.training.artifact_files import add_networks

# Both add in float32, in another order.
MOST_DIFFERENCE = 1e-3


def add_onnx(folder: Path) -> None:
    """Add the network in fp32 to the artifact in `folder`.

    Raises OSError, and UserError if its answers are not the network's; the artifact then stays as it is.
    """
    about = artifact.read(folder)
    weights = artifact.read_weights(folder, about)
    file = onnx_network.build(about, weights)
    difference = compare(file, about, weights)
    if difference > MOST_DIFFERENCE:
        sentence = f"a probability differs by {difference:.3f} from the network's; accepted: up to {MOST_DIFFERENCE}"
        raise UserError(f"{folder / NETWORK_FILE}: {sentence}")
    add_networks(folder, about, {NETWORK_FILE: file})


@torch.inference_mode()
def compare(file: bytes, about: Artifact, weights: Mapping[str, np.ndarray]) -> float:
    """Return by how much a probability of the ONNX `file` differs at most from torch's network, for images of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, about.image_size, about.image_size, 3), dtype=np.uint8)
    model = network.load(about, weights)
    logits = model(network.Normalize(about.mean, about.std)(torch.from_numpy(pixels)))
    found = Engine(engine.read(file), "fp32", machine.usable_cores()).open()(pixels)[OUTPUT]
    return float(np.abs(found - (logits / about.temperature).softmax(1).numpy()).max())
