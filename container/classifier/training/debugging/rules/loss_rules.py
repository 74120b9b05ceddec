"""The rules about the losses of training and validation."""

import math
from dataclasses import dataclass, field

import numpy as np

from classifier.training.debugging.names import TRAIN_LOSS, UPDATE_RATIO, VALIDATION_LOSS
from classifier.training.debugging.rules.noise import noise
from classifier.training.debugging.rules.rule import JobRule
from classifier.words import percent, plural


@dataclass(eq=False, kw_only=True)
class LossNotDecreasing(JobRule):
    """Training does not learn.

    AWS compares two single steps, whose losses differ by chance. Ours compares the means of the first and the second
    half of the saved steps, at least `num_steps` each. It is found if any fall that the noise may hide is small, and if
    the loss is not far below that of guessing: a network that was good from the start has little left to learn.
    """

    advice = (
        "Raise lr, first by a factor of 10; if that does not help, look for wrong labels and for images that do not "
        "show their class."
    )
    num_steps: int = 10
    diff_percent: float = 15.0
    guessing_loss: float = 0.0
    losses: list[float] = field(default_factory=list, init=False)

    def find_evidence(self, step: int) -> str | None:
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        self.losses.append(loss)
        count = len(self.losses) // 2
        if count < self.num_steps or not np.isfinite(self.losses).all():  # ExplodingTensor finds the latter
            return None
        before, after = np.mean(self.losses[:count]), np.mean(self.losses[-count:])
        by_chance = noise(self.losses, count)
        if before - after > by_chance or after < self.guessing_loss / 2:
            return ""
        if before - after + by_chance > before * self.diff_percent / 100:
            return None  # it may have fallen
        return (
            f"the mean loss of {plural(count, 'saved step')} went from {before:.4g} to {after:.4g}; "
            f"by chance alone it varies by {by_chance:.2g}"
        )


@dataclass(eq=False, kw_only=True)
class Overfit(JobRule):
    """The network memorises the training images.

    AWS compares the two losses alone, and so blames every network that has learnt well (0.01 in training, 0.02 in
    validation). Ours also requires that the validation loss has risen since its lowest, by more than it differs from
    epoch to epoch by chance. Two epochs are compared with the best two: a single one may be low by luck. It is gone at
    a new lowest.
    """

    advice = "Use more training images, a higher weight_decay, or fewer epochs (early_stopping_patience)."
    start_step: int = 0
    patience: int = 1
    ratio_threshold: float = 0.1
    train_loss: float = field(default=math.inf, init=False)
    validations: list[float] = field(default_factory=list, init=False)
    exceeded: int = field(default=0, init=False)  # epochs in a row

    def find_evidence(self, step: int) -> str | None:
        train, validation = (self.tensors.scalar(step, name) for name in (TRAIN_LOSS, VALIDATION_LOSS))
        self.train_loss = self.train_loss if train is None else train
        if validation is None or step < self.start_step:
            return None
        self.validations.append(validation)
        lowest = min(self.validations)
        gap = (validation - self.train_loss) / max(self.train_loss, 1e-12)
        rise = validation / max(lowest, 1e-12) - 1
        self.exceeded = self.exceeded + 1 if min(gap, rise) > self.ratio_threshold else 0
        since_lowest = self.validations[self.validations.index(lowest) :]
        if self.exceeded <= self.patience or self._rise_of_means() < noise(since_lowest, self.patience + 1):
            too_early = len(self.validations) <= self.patience + 1
            return None if too_early or self.holds and validation > lowest else ""
        return (
            f"the validation loss is {validation:.3g}, {percent(rise)} above its lowest ({lowest:.3g}), "
            f"while the training loss is {self.train_loss:.3g}"
        )

    def _rise_of_means(self) -> float:
        """Return how far the last `patience` + 1 epochs are above the best as many in a row."""
        means = np.convolve(self.validations, np.ones(self.patience + 1) / (self.patience + 1), "valid")
        return means[-1] - means.min()


@dataclass
class LowestLoss:
    """The lowest of a series of losses, and how many later ones were not lower by more than a given share."""

    value: float = math.inf
    waited: int = 0

    def add(self, loss: float, delta: float) -> None:
        if loss < self.value * (1 - delta):
            self.value, self.waited = loss, 0
        else:
            self.waited += 1


@dataclass(eq=False, kw_only=True)
class Overtraining(JobRule):
    """Neither loss improves any more, and training goes on.

    AWS counts saved steps; ours counts epochs, since single steps differ by chance, and takes `delta` as a share.
    """

    advice = "Use fewer epochs, or set early_stopping_patience; for a lower loss, use more images or another lr."
    patience_train: int = 5
    patience_validation: int = 10
    delta: float = 0.1
    train: LowestLoss = field(default_factory=LowestLoss, init=False)
    validation: LowestLoss = field(default_factory=LowestLoss, init=False)
    epochs: int = field(default=0, init=False)

    def find_evidence(self, step: int) -> str | None:
        train, validation = (self.tensors.scalar(step, name) for name in (TRAIN_LOSS, VALIDATION_LOSS))
        if train is not None:
            self.train.add(train, self.delta)
        if validation is None:
            return None
        self.validation.add(validation, self.delta)
        self.epochs += 1
        if self.train.waited < self.patience_train or self.validation.waited < self.patience_validation:
            return "" if self.epochs > self.patience_validation else None
        return (
            f"the validation loss (lowest {self.validation.value:.3g}) has not improved by more than "
            f"{percent(self.delta)} for {plural(self.validation.waited, 'epoch')}, nor the training loss (lowest "
            f"{self.train.value:.3g}) for {self.train.waited}"
        )


@dataclass(eq=False, kw_only=True)
class LearningRateTooHigh(JobRule):
    """Our own, for the most frequent mistake: the steps are so large that training does not learn but diverges.

    Found if the loss is mostly above that of guessing (or of the first step if that is not known) or is not a number,
    and a step changes the weights by a large part of their size. It is gone if training has learnt since.
    """

    advice = "Lower lr, first by a factor of 10."
    patience: int = 5
    increase_percent: float = 20.0
    update_threshold: float = 0.1
    guessing_loss: float = 0.0
    losses: list[float] = field(default_factory=list, init=False)  # of each saved step
    largest_update: float = field(default=0.0, init=False)

    def find_evidence(self, step: int) -> str | None:
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        self.losses.append(loss)
        start = self.guessing_loss or self.losses[0]
        limit = start * (1 + self.increase_percent / 100)
        ratios = [float(ratio[0]) for ratio in self.tensors.vectors(step, UPDATE_RATIO).values()]
        finite = [ratio for ratio in ratios if math.isfinite(ratio)]
        self.largest_update = max(self.largest_update, float(np.median(finite)) if finite else 0.0)
        # Most of the last saved steps: a diverging loss still dips now and then.
        recent = self.losses[1 - 2 * self.patience :]
        diverged = not math.isfinite(loss) or sum(one > limit for one in recent) >= self.patience
        if not diverged or self.largest_update < self.update_threshold:
            learnt = np.mean(recent) < start / 2
            return "" if learnt or len(self.losses) >= self.patience and not self.holds else None
        return (
            f"the loss is {loss:.3g} (limit: {limit:.3g}), and a step changed the weights by "
            f"{percent(self.largest_update)} of their size"
        )
