"""Evaluation: one phase through the model, every readable image once."""

import heapq
from dataclasses import dataclass, field

import numpy as np
import torch

from classifier.training.calibration import calibration_error, fit_temperature
from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches, SkippedImages
from classifier.training.interrupt import Interrupt
from classifier.training.progress import progress

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
    """How a model did on one phase of n readable images in k classes."""

    phase: str
    loss: float
    accuracy: float
    macro_f1: float
    precision: np.ndarray  # (k,)
    recall: np.ndarray  # (k,)
    f1: np.ndarray  # (k,)
    confusion: np.ndarray  # (k, k) counts: a row per true class, a column per predicted one
    step_losses: np.ndarray  # (steps,) as training measures it, with its label smoothing and class weights
    positions: np.ndarray  # (n,) in the phase's files
    labels: np.ndarray  # (n,)
    predicted: np.ndarray  # (n,)
    confidence: np.ndarray  # (n,) probability of the predicted class
    mistakes: tuple[Mistake, ...]  # the most confident first
    temperature: float  # that the confidences are given at
    calibration_error: float  # at that temperature
    calibration_error_before: float  # without it

    @property
    def metrics(self) -> dict[str, float]:
        values = {"loss": self.loss, "accuracy": self.accuracy, "macro_f1": self.macro_f1}
        return {f"{self.phase}:{name}": value for name, value in values.items()}


@torch.inference_mode()
def evaluate(
    model: torch.nn.Module,
    criterion: torch.nn.Module,
    batches: ImageBatches,
    compute: Compute,
    classes: int,
    skipped: SkippedImages,
    interrupt: Interrupt,
    temperature: float | None = None,
) -> Evaluation:
    """Run the phase of `batches` through `model`; `criterion` is training's loss.

    Of several processes each takes its share of every batch, and all come to the whole evaluation.
    Confidences are given at `temperature`, or at the one that is fitted here.

    Raises Interrupted, and UserError where too many images are unreadable.
    """
    phase = batches.phase
    group = compute.group
    model.eval()
    group.copy_buffers(model)
    loss = torch.zeros((), dtype=torch.float64, device=compute.device)
    step_losses = torch.zeros(len(batches), 2, device=compute.device)  # sum over the images, and their number
    columns: list[tuple[torch.Tensor, ...]] = []
    for step, batch in enumerate(progress(batches.epoch(), phase.name, len(batches))):
        interrupt.check()
        skipped.add(phase, batch)
        if not len(batch):
            continue
        inputs, labels = compute.move(batch)
        with compute.autocast():
            logits = model(inputs)
        logits = logits.float()
        loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        step_losses[step, 0] = criterion(logits, labels) * len(batch)
        step_losses[step, 1] = len(batch)
        columns.append((batch.positions, batch.labels, logits.cpu()))
    skipped.share(group)
    columns = [torch.cat(column) for column in zip(*sum(group.gather(columns), []), strict=True)]
    order = columns[0].argsort()
    positions, labels, logits = (column[order] for column in columns)
    temperature = temperature or fit_temperature(logits, labels)
    confidence, predicted = (logits / temperature).softmax(1).max(1)
    sums, counts = group.sum(step_losses).cpu().numpy().T
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels.numpy(), predicted.numpy()), 1)
    return Evaluation(
        phase=phase.name,
        loss=group.sum(loss).item() / len(positions),
        confusion=confusion,
        **scores(confusion),
        step_losses=sums[counts > 0] / counts[counts > 0],
        positions=positions.numpy(),
        labels=labels.numpy(),
        predicted=predicted.numpy(),
        confidence=confidence.numpy(),
        mistakes=_worst(positions, labels, predicted, confidence),
        temperature=temperature,
        calibration_error=calibration_error(logits, labels, temperature),
        calibration_error_before=calibration_error(logits, labels, 1.0),
    )


def scores(confusion: np.ndarray) -> dict[str, np.ndarray | float]:
    """Accuracy, macro F1, and precision, recall and F1 of each class (k,), from the counts `confusion` (k, k).

    What has nothing to be divided by is 0. The macro F1 is the mean over the classes that occur, as labels or as
    predictions.
    """
    right, of_class, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = 2 * right / np.maximum(1, of_class + predicted)
    return {
        "accuracy": float(right.sum() / confusion.sum()),
        "macro_f1": float(f1[of_class + predicted > 0].mean()),
        "precision": right / np.maximum(1, predicted),
        "recall": right / np.maximum(1, of_class),
        "f1": f1,
    }


def _worst(*columns: torch.Tensor) -> tuple[Mistake, ...]:
    """The wrong images with the most confidence, of positions, labels, predictions and confidences (n,)."""
    rows = zip(*(column[columns[1] != columns[2]].tolist() for column in columns), strict=True)
    mistakes = (Mistake(confidence, position, label, predicted) for position, label, predicted, confidence in rows)
    return tuple(heapq.nlargest(WORST_MISTAKES, mistakes))
