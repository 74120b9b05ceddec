"""Checks after training that the artifact's model.onnx answers as torch's network does."""

from pathlib import Path

import numpy as np
import torch

from classifier import artifact, engine, machine, network
from classifier.artifact_fields import NETWORK_FILE
from classifier.engine import OUTPUT, Engine
from classifier.errors import UserError
from classifier.training.data.batches import Batches

IMAGES = 8
# Both add in float32, in another order.
MOST_DIFFERENCE = 1e-3


@torch.inference_mode()
def check_onnx(folder: Path, validation: Batches) -> None:
    """Compare the probabilities of both for some validation images.

    Raises UserError if they differ: the artifact in `folder` is not to be served then.
    """
    about = artifact.read(folder)
    model = network.load(about, artifact.read_weights(folder, about))
    normalize = network.Normalize(about.mean, about.std)
    run = Engine(engine.read(artifact.read_file(folder, about, NETWORK_FILE)), "fp32", machine.usable_cores()).open()
    for batch in validation.pixels_of_some(IMAGES):
        if not len(batch):
            continue
        expected = (model(normalize(batch.inputs)) / about.temperature).softmax(1).numpy()
        difference = np.abs(run(batch.inputs.numpy())[OUTPUT] - expected).max()
        if difference > MOST_DIFFERENCE:
            sentence = f"a probability differs by {difference:.3f} from the network's"
            raise UserError(f"{folder / NETWORK_FILE}: {sentence}; accepted: up to {MOST_DIFFERENCE}")
