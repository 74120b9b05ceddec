"""The rules about the losses of training and validation."""

import math
from collections import deque

import numpy as np

from classifier.training.debugging.rules.base import JobRule
from classifier.training.debugging.rules.tensors import noise

TRAIN_LOSS, VALIDATION_LOSS = "^scalar/train_loss", "^scalar/validation_loss"


class LossNotDecreasing(JobRule):
    """Training does not learn.

    AWS compares two single steps, whose losses differ by chance. Ours compares the mean of `num_steps` saved steps
    with that of the first ones, and a fall counts only where it is larger than the noise.
    """

    parameters = {"num_steps": 10, "diff_percent": 0.0}
    advice = "Raise lr, ten times at first; if that does not help, look for wrong labels or images that show no class."

    def __init__(self, *arguments, **parameters):
        super().__init__(*arguments, **parameters)
        self.losses: list[float] = []

    def look(self, step):
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        self.losses.append(loss)
        count = self.values["num_steps"]
        if len(self.losses) < 2 * count or len(self.losses) % count:
            return None
        if not np.isfinite(self.losses).all():  # that is another rule's
            return None
        before, after = np.mean(self.losses[:count]), np.mean(self.losses[-count:])
        needed = max(before * self.values["diff_percent"] / 100, noise(self.losses))
        if before - after > needed:
            return None
        return (
            f"the mean loss of {count} saved steps went from {before:.4g} to {after:.4g}; "
            f"by chance alone it varies by {noise(self.losses):.2g}"
        )


class Overfit(JobRule):
    """The network learns the training images by heart.

    AWS compares the two losses alone, and so blames every network that has learnt well (0.01 in training, 0.02 in
    validation). Ours asks as well that the validation loss has got worse since its best.
    """

    parameters = {"start_step": 0, "patience": 1, "ratio_threshold": 0.1}
    advice = "Use more images, a higher weight_decay, or fewer epochs (early_stopping_patience)."

    def __init__(self, *arguments, **parameters):
        super().__init__(*arguments, **parameters)
        self.train = self.best = math.inf
        self.exceeded = 0

    def look(self, step):
        train, validation = (self.tensors.scalar(step, name) for name in (TRAIN_LOSS, VALIDATION_LOSS))
        self.train = self.train if train is None else train
        if validation is None or step < self.values["start_step"]:
            return None
        self.best = min(self.best, validation)
        gap = (validation - self.train) / max(self.train, 1e-12)
        worse = validation / max(self.best, 1e-12) - 1
        threshold = self.values["ratio_threshold"]
        self.exceeded = self.exceeded + 1 if min(gap, worse) > threshold else 0
        if self.exceeded <= self.values["patience"]:
            return None
        return (
            f"the validation loss is {validation:.3g}, {worse:.0%} above its best ({self.best:.3g}), "
            f"while the training loss is {self.train:.3g}"
        )


class Overtraining(JobRule):
    """Neither loss improves any more, and training goes on.

    AWS counts saved steps; ours counts epochs, since single steps differ by chance, and takes `delta` as a share.
    """

    parameters = {"patience_train": 5, "patience_validation": 10, "delta": 0.1}
    advice = "Use fewer epochs, or set early_stopping_patience; to learn more, use more images or another lr."

    def __init__(self, *arguments, **parameters):
        super().__init__(*arguments, **parameters)
        self.train, self.validation = Best(self.values["delta"]), Best(self.values["delta"])

    def look(self, step):
        self.train.see(self.tensors.scalar(step, TRAIN_LOSS))
        if not self.validation.see(self.tensors.scalar(step, VALIDATION_LOSS)):
            return None
        waited = (self.train.waited, self.validation.waited)
        if waited[0] < self.values["patience_train"] or waited[1] < self.values["patience_validation"]:
            return None
        return (
            f"for {waited[1]} epochs the validation loss ({self.validation.value:.3g} at best) and for {waited[0]} "
            f"epochs the training loss ({self.train.value:.3g} at best) have improved by less than "
            f"{self.values['delta']:.0%}"
        )


class Best:
    """The best of a series of losses, and for how many it has not improved by more than the share `delta`."""

    def __init__(self, delta: float):
        self.delta = delta
        self.value = math.inf
        self.waited = 0

    def see(self, loss: float | None) -> bool:
        if loss is None:
            return False
        if loss < self.value * (1 - self.delta):
            self.value, self.waited = loss, 0
        else:
            self.waited += 1
        return True


class LearningRateTooHigh(JobRule):
    """Our own, for what goes wrong most often: the steps are so large that training does not learn but diverge.

    Found where the loss is mostly above that of guessing (or where that is not known, of the first step), or is not
    a number, and where a step changes the weights by a large part of their size.
    """

    parameters = {"patience": 5, "increase_percent": 20.0, "update_threshold": 0.1, "guessing_loss": 0.0}
    advice = "Lower lr, ten times at first."

    def __init__(self, *arguments, **parameters):
        super().__init__(*arguments, **parameters)
        self.limit: float | None = None
        self.high = deque(maxlen=2 * self.values["patience"] - 1)
        self.largest_update = 0.0

    def look(self, step):
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        if self.limit is None:
            self.limit = (self.values["guessing_loss"] or loss) * (1 + self.values["increase_percent"] / 100)
        ratios = [float(ratio[0]) for ratio in self.tensors.vectors(step, "update_ratio/").values()]
        finite = [ratio for ratio in ratios if math.isfinite(ratio)]
        self.largest_update = max(self.largest_update, float(np.median(finite)) if finite else 0.0)
        self.high.append(loss > self.limit)
        # Most of the last saved steps: on its wild way the loss comes down now and then.
        diverged = not math.isfinite(loss) or sum(self.high) >= self.values["patience"]
        if not diverged or self.largest_update < self.values["update_threshold"]:
            return None
        return (
            f"the loss is {loss:.3g}, {self.limit:.3g} would be too much already, and a step changed the weights by "
            f"{self.largest_update:.0%} of their size"
        )


RULES = (LearningRateTooHigh, LossNotDecreasing, Overfit, Overtraining)
