"""The values of each saved step that the report draws."""

from typing import Any

from classifier.training.debugging.names import GRADIENT, RELU_ACTIVITY, UPDATE_RATIO, WEIGHTS_AND_BIASES
from classifier.training.debugging.rules.recent_activity import RecentActivity
from classifier.training.debugging.rules.saved_tensors import SavedTensors
from classifier.training.debugging.rules.tensor_rules import DeadRelu

Column = list[float | None]


class Series:
    """Per layer and saved training step: the gradient's norm, the update-to-weight ratio, the share of dead units."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.layers: dict[str, dict[str, Column]] = {"gradient": {}, "update": {}, "dead": {}}
        self.activity = RecentActivity()
        self.saved = {"train": 0, "validation and test": 0}

    def add(self, tensors: SavedTensors, step: int) -> None:
        """Add what `step` of the trial saved."""
        number = tensors.training_step(step)
        self.saved["train" if number is not None else "validation and test"] += 1
        if number is None or not tensors.names(step, f"^{GRADIENT}/|^{UPDATE_RATIO}/"):
            return
        self.steps.append(number)
        ratios = {name: float(value[0]) for name, value in tensors.vectors(step, UPDATE_RATIO).items()}
        sizes = tensors.reductions(step, WEIGHTS_AND_BIASES, "l2")
        norms = {layer_of(name): size for name, size in sizes.items() if name.startswith(f"{GRADIENT}/")}
        self.activity.add(tensors.vectors(step, RELU_ACTIVITY))
        self._append("update", ratios)
        self._append("gradient", {name: norms[name] for name in norms if name in ratios or not ratios})
        self._append("dead", self.activity.dead_percent(DeadRelu.threshold_inactivity))

    def values(self) -> dict[str, Any]:
        """Return the series as debug.json and the report have them."""
        whole = {kind: {name: self._padded(column) for name, column in of.items()} for kind, of in self.layers.items()}
        return {"steps": self.steps, "saved": self.saved} | whole

    def _append(self, kind: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.layers[kind][name] = [*self._padded(self.layers[kind].get(name, []))[: len(self.steps) - 1], value]

    def _padded(self, column: Column) -> Column:
        """Return `column` with None for the steps at which the layer was not saved since."""
        return column + [None] * (len(self.steps) - len(column))


def layer_of(gradient: str) -> str:
    """Return layer1.0.conv1 for gradient/ResNet_layer1.0.conv1.weight."""
    return gradient.removeprefix(f"{GRADIENT}/").partition("_")[2].removesuffix(".weight")
