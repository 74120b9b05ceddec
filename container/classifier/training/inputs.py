"""What a job is given: hyperparameters, the images of its channels, and weights to start from.

Without torch, so that what is wrong is said at once.
"""

from typing import NamedTuple

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training import hyperparameters
from classifier.training.data.channels import LAYOUT
from classifier.training.data.folders import Dataset, read_dataset
from classifier.training.given_weights import GivenArtifact, GivenFile, find_weights
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt


class Inputs(NamedTuple):
    """The hyperparameters, the images found in the channels, and the weights; None for a random start."""

    hp: Hyperparameters
    dataset: Dataset
    weights: GivenFile | GivenArtifact | None


def read_inputs(contract: Contract, interrupt: Interrupt) -> Inputs:
    """Read what the job is given. Raises UserError if it is not accepted, and Interrupted if a folder hangs."""
    hp = hyperparameters.parse(contract.hyperparameters())
    if not (channels := contract.channels()):
        raise UserError(f"{contract.data} has no channel; accepted: {LAYOUT}")
    with interrupt.waiting():
        return Inputs(hp, read_dataset(channels, hp.seed, contract.data), find_weights(hp, channels))
