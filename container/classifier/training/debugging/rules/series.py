"""The figures of each saved step that the report draws."""

from collections import defaultdict, deque

from classifier.training.debugging.rules.base import Tensors
from classifier.training.debugging.rules.tensors import RELU_ACTIVITY, DeadRelu, dead_percent

UPDATE_RATIO = "update_ratio/"
GRADIENT = "gradient/"


class Series:
    """Per layer and saved training step: the gradient's norm, the update-to-weight ratio, the share of dead units."""

    def __init__(self):
        self.steps: list[int] = []
        self.layers: dict[str, dict[str, list]] = {"gradient": {}, "update": {}, "dead": {}}
        self.recent = defaultdict(lambda: deque(maxlen=DeadRelu.together))
        self.saved = {"train": 0, "validation and test": 0}

    def add(self, tensors: Tensors, step: int) -> None:
        number = tensors.training_step(step)
        self.saved["train" if number is not None else "validation and test"] += 1
        if number is None or not tensors.names(step, f"^{GRADIENT}|^{UPDATE_RATIO}"):
            return
        self.steps.append(number)
        ratios = {name: float(value[0]) for name, value in tensors.vectors(step, UPDATE_RATIO).items()}
        sizes = tensors.reductions(step, "weight|bias", "l2")
        norms = {layer_of(name): size for name, size in sizes.items() if name.startswith(GRADIENT)}
        for name, activity in tensors.vectors(step, RELU_ACTIVITY).items():
            self.recent[name].append(activity)
        limit = DeadRelu.parameters["threshold_inactivity"]
        self._append("update", ratios)
        self._append("gradient", {name: norms[name] for name in norms if name in ratios or not ratios})
        self._append("dead", {name: dead_percent(recent, limit) for name, recent in self.recent.items()})

    def values(self) -> dict[str, object]:
        whole = {kind: {name: self._padded(column) for name, column in of.items()} for kind, of in self.layers.items()}
        return {"steps": self.steps, "saved": self.saved} | whole

    def _append(self, kind: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.layers[kind][name] = [*self._padded(self.layers[kind].get(name, []))[: len(self.steps) - 1], value]

    def _padded(self, column: list[float | None]) -> list[float | None]:
        """A layer that was not saved at some step has no value there."""
        return column + [None] * (len(self.steps) - len(column))


def layer_of(gradient: str) -> str:
    """gradient/ResNet_layer1.0.conv1.weight is the gradient of layer1.0.conv1."""
    return gradient.removeprefix(GRADIENT).partition("_")[2].removesuffix(".weight")
