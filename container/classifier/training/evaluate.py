"""Evaluation: every readable image of a phase passes once through the model."""

import heapq
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from classifier.layers import HEAD
from classifier.training.calibration import calibrate, calibration_error
from classifier.training.compute import Compute
from classifier.training.data.batches import Batches
from classifier.training.data.names import quoted
from classifier.training.data.skipped import SkippedImages
from classifier.training.familiarity import MOST, Familiarity, fit, judge
from classifier.training.interrupt import Interrupt
from classifier.training.progress import progress
from classifier.words import plural

logger = logging.getLogger(__name__)
WORST_MISTAKES = 24


@dataclass(frozen=True, order=True)
class Mistake:
    """An image whose predicted class is wrong, ordered by the model's confidence in it."""

    confidence: float
    position: int
    label: int = field(compare=False)
    predicted: int = field(compare=False)


@dataclass(frozen=True)
class Evaluation:
    """A model's results on one phase of n readable images in k classes."""

    phase: str
    loss: float
    accuracy: float
    macro_f1: float
    precision: np.ndarray  # (k,)
    recall: np.ndarray  # (k,)
    f1: np.ndarray  # (k,)
    confusion: np.ndarray  # (k, k) counts: a row per true class, a column per predicted one
    step_losses: np.ndarray  # (steps,) training's loss, with its label smoothing and class weights
    step_sizes: np.ndarray  # (steps,) the images of each step
    positions: np.ndarray  # (n,) in the phase's files
    labels: np.ndarray  # (n,)
    predicted: np.ndarray  # (n,)
    confidence: np.ndarray  # (n,) probability of the predicted class
    mistakes: tuple[Mistake, ...]  # the most confident first
    temperature: float  # by which the logits were divided before confidences were taken
    calibration_error: float  # at that temperature
    calibration_error_before: float  # without it
    why_not_calibrated: str = ""  # if the temperature is 1 for a reason
    familiarity: Familiarity = Familiarity()  # noqa: RUF009, it is frozen

    @property
    def training_loss(self) -> float:
        """Return the mean over the images of training's loss, in which a short last step counts for its images."""
        return float(np.average(self.step_losses, weights=self.step_sizes))

    @property
    def metrics(self) -> dict[str, float]:
        """Return the figures that are logged, by name."""
        values = {"loss": self.loss, "accuracy": self.accuracy, "macro_f1": self.macro_f1}
        return {f"{self.phase}:{name}": value for name, value in values.items()}


class Outputs(NamedTuple):
    """A model's outputs for n images, on the CPU and in the order of the phase."""

    positions: torch.Tensor  # (n,)
    labels: torch.Tensor  # (n,)
    logits: torch.Tensor  # float32 (n, k)
    features: torch.Tensor  # float32 (m, f), of m of the images; in their order if of all


class Scores(NamedTuple):
    """What a confusion matrix of k classes says; the arrays have one value for each class (k,)."""

    accuracy: float
    macro_f1: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def evaluate(
    model: torch.nn.Module,
    criterion: torch.nn.Module,
    batches: Batches,
    compute: Compute,
    classes: int,
    skipped: SkippedImages,
    interrupt: Interrupt,
    fitted: Evaluation | None = None,
) -> Evaluation:
    """Evaluate `model` on the phase of `batches`; `criterion` is training's loss.

    Each of several processes takes its share of every batch, and all of them return the same, whole evaluation.
    Temperature and measure of unlikeness are those of the evaluation `fitted`, by default fitted on this phase.

    Raises Interrupted, and UserError if too many images are unreadable.
    """
    outputs, step_losses, step_sizes = run_model(model, criterion, batches, compute, skipped, interrupt)
    positions, labels, logits, features = outputs
    temperature, why_not = (fitted.temperature, "") if fitted else calibrate(logits, labels)
    confidence, predicted = (logits / temperature).softmax(1).max(1)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels.numpy(), predicted.numpy()), 1)
    return Evaluation(
        phase=batches.phase.name,
        loss=torch.nn.functional.cross_entropy(logits.double(), labels).item(),
        confusion=confusion,
        **scores(confusion)._asdict(),
        step_losses=step_losses,
        step_sizes=step_sizes,
        positions=positions.numpy(),
        labels=labels.numpy(),
        predicted=predicted.numpy(),
        confidence=confidence.numpy(),
        mistakes=_worst(positions, labels, predicted, confidence),
        temperature=temperature,
        calibration_error=calibration_error(logits, labels, temperature),
        calibration_error_before=calibration_error(logits, labels, 1.0),
        why_not_calibrated=why_not,
        familiarity=judge(features, fitted.familiarity) if fitted else fit(features),
    )


@torch.inference_mode()
def run_model(
    model: torch.nn.Module,
    criterion: torch.nn.Module,
    batches: Batches,
    compute: Compute,
    skipped: SkippedImages,
    interrupt: Interrupt,
    most_features: int = MOST,
) -> tuple[Outputs, np.ndarray, np.ndarray]:
    """Return the outputs for all readable images, whichever process computed them, and each step's loss and size.

    Features are kept of at most `most_features` images, spread evenly.
    """
    group = compute.group
    model.eval()
    group.copy_buffers(model)
    step_losses = torch.zeros(len(batches), 2, device=compute.device)  # sum over the images, and their number
    parts: list[Outputs] = []  # on the device: to read them at each step would make the GPU wait
    every = math.ceil(len(batches.phase) / most_features)
    with _inputs_of(model.get_submodule(HEAD)) as features:
        for step, batch in enumerate(progress(interrupt.watch(batches.epoch()), batches.phase.name, len(batches))):
            interrupt.check(group.any)
            skipped.add(batches.phase, batch)
            if not len(batch):
                continue
            labels = compute.move(batch.labels)
            with compute.autocast():
                logits = model(compute.inputs(batch.inputs))
            logits = logits.float()
            step_losses[step, 0] = criterion(logits, labels) * len(batch)
            step_losses[step, 1] = len(batch)
            own = features.pop().float()
            if every > 1:
                own = own[compute.move((batch.positions % every == 0).nonzero().flatten())]
            parts.append(Outputs(batch.positions, batch.labels, logits, own))
    skipped.share(group)
    mine = [Outputs(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))] if parts else []
    *columns, features = (torch.cat(column) for column in zip(*sum(group.gather(mine), []), strict=True))
    order = columns[0].argsort()
    sums, counts = group.sum(step_losses).cpu().numpy().T
    sums, counts = sums[counts > 0], counts[counts > 0]
    features = features[order] if every == 1 else features
    return Outputs(*(column[order] for column in columns), features=features), sums / counts, counts


@contextmanager
def _inputs_of(module: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield a list, to which each call of `module` adds its input."""
    inputs: list[torch.Tensor] = []
    watch = module.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    try:
        yield inputs
    finally:
        watch.remove()


def scores(confusion: np.ndarray) -> Scores:
    """Return the scores of the counts `confusion` (k, k), a row per true class and a column per predicted one.

    A quotient whose divisor is 0 counts as 0. The macro F1 is the mean over the classes that occur, as labels or as
    predictions.
    """
    right, of_class, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = 2 * right / np.maximum(1, of_class + predicted)
    return Scores(
        accuracy=float(right.sum() / confusion.sum()),
        macro_f1=float(f1[of_class + predicted > 0].mean()),
        precision=right / np.maximum(1, predicted),
        recall=right / np.maximum(1, of_class),
        f1=f1,
    )


def log_missing_classes(evaluation: Evaluation, classes: Sequence[str]) -> None:
    """Log of which `classes` the `evaluation` says nothing, since no image of theirs was there and readable."""
    missing = [name for name, count in zip(classes, evaluation.confusion.sum(1), strict=True) if not count]
    if missing:
        what = "%d of %s without a readable %s image, which its metrics leave out: %s"
        logger.info(what, len(missing), plural(len(classes), "class"), evaluation.phase, quoted(*missing))


def _worst(
    positions: torch.Tensor, labels: torch.Tensor, predicted: torch.Tensor, confidence: torch.Tensor
) -> tuple[Mistake, ...]:
    """Return the mistakes with the most confidence, from columns (n,)."""
    wrong = labels != predicted
    rows = zip(*(column[wrong].tolist() for column in (confidence, positions, labels, predicted)), strict=True)
    return tuple(heapq.nlargest(WORST_MISTAKES, (Mistake(*row) for row in rows)))
