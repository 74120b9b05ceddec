"""The rules about gradients, weights and activations."""

from collections import defaultdict, deque

import numpy as np

from classifier.training.debugging.rules.base import JobRule

GRADIENTS = "^gradient/"
RELU_ACTIVITY = "relu_activity/"
# Distance of the 5th from the 95th percentile of a normal distribution, in standard deviations.
PERCENTILES_5_TO_95 = 3.29


class VanishingGradient(JobRule):
    """A layer's gradient is so small that it does not learn.

    Ours asks as well that there is something left to learn: at a loss near zero every gradient is near zero.
    """

    parameters = {"threshold": 1e-7}
    advice = "Start from pretrained weights or raise eps; a part whose units are all dead has no gradient either."
    first_loss: float | None = None

    def look(self, step):
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        self.first_loss = loss if self.first_loss is None else self.first_loss
        sizes = self.tensors.reductions(step, GRADIENTS, "mean", absolute=True)
        small = {name: size for name, size in sizes.items() if size < self.values["threshold"]}
        if not small or not loss > self.first_loss / 2:
            return None
        name = min(small, key=small.get)
        return (
            f"{len(small)} of {len(sizes)} gradients are smaller than {self.values['threshold']:g} on average, "
            f"the smallest {small[name]:.1e} ({name.removeprefix('gradient/')}), at a loss of {loss:.3g}"
        )


class ExplodingTensor(JobRule):
    """A loss, a weight or a gradient is infinite or not a number."""

    parameters = {"collection_names": None, "tensor_regex": None, "only_nan": False}
    advice = "Lower lr; with precision=fp16 try bf16 or fp32."

    def look(self, step):
        loss = self.tensors.loss(step)
        if loss is None:
            return None
        regex = self.values["tensor_regex"] or "weight|bias"
        sizes = {"the loss": loss} | self.tensors.reductions(step, regex, "l2")
        broken = {name: size for name, size in sizes.items() if self.is_broken(size)}
        if not broken:
            return None
        name, size = next(iter(broken.items()))
        return f"{len(broken)} of {len(sizes)} tensors are not finite, the first {name} ({size})"

    def is_broken(self, value: float) -> bool:
        return np.isnan(value) or (not self.values["only_nan"] and np.isinf(value))


class PoorWeightInitialization(JobRule):
    """The weights that training started from pass no usable signal on, and the loss does not fall.

    AWS compares weights and gradients as well; in a network with batch normalisation the inputs of the activations
    tell most. Ours takes them from the first saved step, before a wrong learning rate can spoil them, and always
    asks that the loss has not fallen since.
    """

    parameters = {
        "activation_inputs_regex": ".*relu_input",
        "threshold": 10.0,
        "distribution_range": 0.001,
        "patience": 5,
        "steps": 10,
    }
    advice = "Start from other weights: weights=imagenet, another file in the channel pretrained, or a random start."

    def __init__(self, *arguments, **parameters):
        super().__init__(*arguments, **parameters)
        self.losses: list[float] = []
        self.suspicion = ""

    def look(self, step):
        loss = self.tensors.loss(step)
        if loss is None or len(self.losses) >= self.values["steps"]:
            return None
        self.losses.append(loss)
        if len(self.losses) == 1:
            self.suspicion = self.uneven_activations(step)
        if len(self.losses) < self.values["steps"]:
            return None
        patience = self.values["patience"]
        if not self.suspicion or not np.isfinite(self.losses).all():
            return None
        before, after = np.mean(self.losses[:-patience]), np.mean(self.losses[-patience:])
        if after < before - noise(self.losses):
            return None
        return f"{self.suspicion}, and the loss went from {self.losses[0]:.3g} to {after:.3g}"

    def uneven_activations(self, step: int) -> str:
        spread = self.tensors.reductions(step, self.values["activation_inputs_regex"], "std")
        if not spread:
            return ""
        low, high = min(spread, key=spread.get), max(spread, key=spread.get)
        if spread[low] * PERCENTILES_5_TO_95 < self.values["distribution_range"]:
            return f"the inputs of {low.split('_')[0]} are all alike (standard deviation {spread[low]:.1e})"
        ratio = (spread[high] / spread[low]) ** 2
        if ratio > self.values["threshold"]:
            return f"the variance of {high.split('_')[0]} is {ratio:.3g} times that of {low.split('_')[0]}"
        return ""


class DeadRelu(JobRule):
    """Most units of a layer are never active.

    Ours looks at several saved steps together: in one small batch a unit may be silent by chance.
    """

    parameters = {"tensor_regex": None, "threshold_inactivity": 1.0, "threshold_layer": 50.0}
    advice = "Lower lr, or start from other weights: a unit that is never active does not learn any more."
    together = 5

    def __init__(self, *arguments, **parameters):
        super().__init__(*arguments, **parameters)
        self.recent: dict[str, deque] = defaultdict(lambda: deque(maxlen=self.together))

    def look(self, step):
        for name, activity in self.tensors.vectors(step, RELU_ACTIVITY).items():
            self.recent[name].append(activity)
        dead = {name: dead_percent(recent, self.values["threshold_inactivity"]) for name, recent in self.recent.items()}
        enough = {name: dead[name] for name, recent in self.recent.items() if len(recent) == self.together}
        name = max(enough, key=enough.get, default=None)
        if name is None or enough[name] <= self.values["threshold_layer"]:
            return None
        return f"{enough[name]:.0f} % of the units of {name.rpartition('_')[0]} are active in less than " + (
            f"{self.values['threshold_inactivity']:g} % of cases"
        )


def dead_percent(recent: deque, threshold_inactivity: float) -> float:
    """Percentage of units whose mean activity (a share) is below `threshold_inactivity` (a percentage)."""
    return 100 * float(np.mean(100 * np.mean(recent, axis=0) < threshold_inactivity))


def noise(values: list[float]) -> float:
    """How far the means of the two halves of `values` differ by chance: two standard errors.

    Neighbouring steps differ by chance alone, whatever the trend is, and by sqrt(2) times what one step does.
    """
    if len(values) < 3:
        return 0.0
    of_a_step = np.std(np.diff(values)) / np.sqrt(2)
    return float(2 * of_a_step * np.sqrt(2 / (len(values) / 2)))


RULES = (ExplodingTensor, VanishingGradient, PoorWeightInitialization, DeadRelu)
