"""What a job is given: hyperparameters, and the images of its channels.

Without torch, so that what is wrong is said at once.
"""

from typing import NamedTuple

from classifier.contract import Contract
from classifier.training import hyperparameters
from classifier.training.data.folders import Dataset, read_dataset
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt


class Inputs(NamedTuple):
    """The hyperparameters, and the images found in the channels."""

    hp: Hyperparameters
    dataset: Dataset


def read_inputs(contract: Contract, interrupt: Interrupt) -> Inputs:
    """Read what the job is given. Raises UserError if it is not accepted, and Interrupted if a folder hangs."""
    hp = hyperparameters.parse(contract.hyperparameters())
    with interrupt.waiting():
        return Inputs(hp, read_dataset(contract.channels(), hp.seed))
