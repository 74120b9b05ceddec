"""The check of a job's labels, of all its images, once training has ended."""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from classifier import network
from classifier.errors import UserError
from classifier.training import model, shares
from classifier.training.compute import explained_memory
from classifier.training.data.batches import explained_losses
from classifier.training.data.folders import Phase
from classifier.training.evaluate import Outputs, run_model
from classifier.training.interrupt import Interrupted
from classifier.training.labels.suspects import find_suspects, leave_one_out
from classifier.training.trainer import Outcome, Trainer
from classifier.words import percent, plural

logger = logging.getLogger(__name__)
# A network that is wrong more often than right says more of itself than of a label: one at chance doubted 100 of 150.
LEAST_ACCURACY = 0.5


@dataclass(frozen=True)
class Suspect:
    """An image whose label may be wrong: classes by their indices, and their probabilities."""

    phase: str
    position: int
    given: int
    likely: int
    probability_given: float
    probability_likely: float


@dataclass(frozen=True)
class LabelCheck:
    """The labels that may be wrong, the surest first, of so many images; if they were not judged, `why_not`."""

    suspects: list[Suspect]
    images: int
    why_not: str = ""


def check_labels(trainer: Trainer, outcome: Outcome) -> LabelCheck | None:
    """Look for wrong labels with the best epoch's weights; None if training did not end as planned.

    Every process of a job takes part. A signal, a lost reader or too little memory ends the check, not the job; but
    with several processes it raises UserError for the latter two, since the others wait for this one.
    """
    if outcome.failure or outcome.ending or not trainer.history.best_weights:
        return None
    if trainer.history.best and (why_not := find_unfitness(trainer.history.best.confusion)):
        logger.info("labels: not judged, since %s", why_not)
        return LabelCheck([], 0, f"They were not judged: {why_not}; such a network doubts right labels.")
    try:
        with explained_losses(trainer.train, trainer.validation, trainer.test), explained_memory(trainer.hp):
            found = _look(trainer)
    except (Interrupted, UserError) as error:
        if isinstance(error, UserError) and trainer.compute.group.size > 1:
            raise
        logger.warning("the labels were not checked: %s", error)
        return None
    if found.suspects:
        labels = plural(found.images, "label")
        logger.info("labels: %s of %s may be wrong: labels.csv", f"{len(found.suspects):,}", labels)
    return found


def find_unfitness(confusion: np.ndarray) -> str:
    """Return why a network with this confusion matrix (k, k) of validation cannot judge labels; "" if it can.

    A class is a row, as it is answered a column. Of a few images a network at chance is right in most now and then.
    """
    images = int(confusion.sum())
    accuracy, most_frequent = confusion.trace() / images, confusion.sum(1).max() / images
    if accuracy < LEAST_ACCURACY:
        return f"the network is wrong in more than half of the {plural(images, 'validation image')}"
    if shares.interval(accuracy, images)[0] <= most_frequent:
        right = f"being right in {shares.words(accuracy, images)} of validation"
        return f"{right} may be luck, since the most frequent class alone has {percent(most_frequent)}"
    return ""


def _look(trainer: Trainer) -> LabelCheck:
    classes = len(trainer.best_artifact.classes)
    made = network.build(classes, trainer.hp.eps)
    made.load_state_dict(trainer.history.best_weights)
    made = made.to(trainer.compute.device)
    _, judge = model.split(made, trainer.hp.trainable)
    suspects, images = [], 0
    for batches in filter(None, (trainer.train, trainer.validation, trainer.test)):
        parts = trainer.compute, trainer.skipped, trainer.interrupt
        # Of epoch 0, so that nothing is cropped at random.
        outputs, *_ = run_model(judge, NoLoss(), batches, *parts, most_features=len(batches.phase))
        if batches is trainer.train:  # the network has learnt these labels, the wrong ones too
            probabilities = leave_one_out(outputs.features, outputs.labels, classes)
        else:
            best = trainer.history.best
            probabilities = (outputs.logits / (best.temperature if best else 1.0)).softmax(1)
        suspects += _suspects(batches.phase, outputs, probabilities)
        images += len(outputs.labels)
    suspects.sort(key=lambda suspect: suspect.probability_given)
    return LabelCheck(suspects, images)


class NoLoss(torch.nn.Module):
    """A loss that is zero."""

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return logits.new_zeros(())


def _suspects(phase: Phase, outputs: Outputs, probabilities: torch.Tensor) -> list[Suspect]:
    found = []
    for row, likely in find_suspects(probabilities, outputs.labels):
        given, position = int(outputs.labels[row]), int(outputs.positions[row])
        pair = probabilities[row, [given, likely]].tolist()
        found.append(Suspect(phase.name, position, given, likely, *pair))
    return found
