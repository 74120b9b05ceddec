"""The rules about gradients, weights and activations."""

from dataclasses import dataclass, field

import numpy as np

from classifier.training.debugging.names import GRADIENT, RELU_ACTIVITY, RELU_INPUTS, WEIGHTS_AND_BIASES
from classifier.training.debugging.rules.noise import noise
from classifier.training.debugging.rules.recent_activity import STEPS_TOGETHER, RecentActivity
from classifier.training.debugging.rules.rule import JobRule
from classifier.words import is_are, percent, plural

# Distance between the 5th and the 95th percentile of a normal distribution, in standard deviations.
PERCENTILES_5_TO_95 = 3.29


@dataclass(eq=False, kw_only=True)
class VanishingGradient(JobRule):
    """A layer's gradient is so small that it does not learn.

    Ours also requires that there is something left to learn: at a loss near zero every gradient is near zero.
    """

    advice = "Start from pretrained weights, or raise eps; a part whose units are all dead has no gradient either."
    threshold: float = 1e-7
    first_loss: float | None = field(default=None, init=False)

    def find_evidence(self, step: int) -> str | None:
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        self.first_loss = loss if self.first_loss is None else self.first_loss
        sizes = self.tensors.reductions(step, f"^{GRADIENT}/", "mean", absolute=True)
        small = {name: size for name, size in sizes.items() if size < self.threshold}
        if not sizes:
            return None
        if not small or not loss > self.first_loss / 2:
            return ""
        name = min(small, key=small.__getitem__)
        return (
            f"{len(small)} of {plural(len(sizes), 'gradient')} {is_are(len(small))} smaller than {self.threshold:g} "
            f"on average, the smallest {small[name]:.1e} ({name.removeprefix(f'{GRADIENT}/')}), at a loss of {loss:.3g}"
        )


@dataclass(eq=False, kw_only=True)
class ExplodingTensor(JobRule):
    """A loss, a weight or a gradient is infinite or not a number, once and for all."""

    advice = "Lower lr; with precision=fp16 try bf16 or fp32."
    only_nan: bool = False

    def find_evidence(self, step: int) -> str | None:
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        norms = self.tensors.reductions(step, WEIGHTS_AND_BIASES, "l2")
        sizes = {"the loss": loss} | norms
        broken = {name: size for name, size in sizes.items() if self.is_broken(size)}
        if not broken:
            return None if self.holds else ""
        name, size = next(iter(broken.items()))
        of = f"{len(broken)} of {plural(len(sizes), 'tensor')}"
        return f"{of} {is_are(len(broken))} not finite, the first {name} ({size})"

    def is_broken(self, value: float) -> bool:
        return bool(np.isnan(value) or (not self.only_nan and np.isinf(value)))


@dataclass(eq=False, kw_only=True)
class PoorWeightInitialization(JobRule):
    """The weights that training started from pass no usable signal on, and the loss does not fall.

    AWS compares weights and gradients as well; in a network with batch normalisation the inputs of the activations
    tell most. Ours takes them from the first saved step, before a wrong learning rate can spoil them, and always
    requires that the loss has not fallen since.
    """

    advice = (
        "Start from other weights: weights=imagenet, another file in the channel pretrained, or a random start "
        "(weights=none)."
    )
    activation_inputs_regex: str = RELU_INPUTS
    threshold: float = 10.0
    distribution_range: float = 0.001
    patience: int = 5
    steps: int = 10
    losses: list[float] = field(default_factory=list, init=False)
    suspicion: str = field(default="", init=False)

    def find_evidence(self, step: int) -> str | None:
        loss = self.tensors.loss(step)
        if loss is None or self.judged and not self.holds:
            return None
        self.losses.append(loss)
        if len(self.losses) == 1:
            self.suspicion = self.uneven_activations(step)
        if len(self.losses) < self.steps:
            return None
        if not self.suspicion or not np.isfinite(self.losses).all():
            return None if self.holds else ""
        before, after = np.mean(self.losses[: self.patience]), np.mean(self.losses[-self.patience :])
        if after < before - noise(self.losses, self.patience):
            return ""
        return f"{self.suspicion}, and the loss went from {self.losses[0]:.3g} to {after:.3g}"

    def uneven_activations(self, step: int) -> str:
        """Return how the inputs of the ReLUs at `step` differ too much or too little, or nothing if they do not."""
        spread = self.tensors.reductions(step, self.activation_inputs_regex, "std")
        if not spread:
            return ""
        low, high = min(spread, key=spread.__getitem__), max(spread, key=spread.__getitem__)
        narrowest, widest = low.split("_")[0], high.split("_")[0]
        if spread[low] * PERCENTILES_5_TO_95 < self.distribution_range:
            return f"the inputs of {narrowest} are all alike (standard deviation {spread[low]:.1e})"
        ratio = (spread[high] / spread[low]) ** 2
        if ratio > self.threshold:
            return f"the inputs of {widest} have {ratio:.3g} times the variance of those of {narrowest}"
        return ""


@dataclass(eq=False, kw_only=True)
class DeadRelu(JobRule):
    """Most units of a layer are never active.

    Ours looks at several saved steps together: in one small batch a unit may be silent by chance.
    """

    advice = "Lower lr, or start from other weights: a unit that is never active no longer learns."
    threshold_inactivity: float = 1.0
    threshold_layer: float = 50.0
    activity: RecentActivity = field(default_factory=RecentActivity, init=False)

    def find_evidence(self, step: int) -> str | None:
        activity = self.tensors.vectors(step, RELU_ACTIVITY)
        self.activity.add(activity)
        dead = self.activity.dead_percent(self.threshold_inactivity, least_steps=STEPS_TOGETHER)
        name = max(dead, key=dead.__getitem__, default=None)
        if name is None or not activity:
            return None
        if dead[name] <= self.threshold_layer:
            return ""
        return (
            f"{percent(dead[name] / 100)} of the units of {name.rpartition('_')[0]} are active in less than "
            f"{self.threshold_inactivity:g} % of cases"
        )
