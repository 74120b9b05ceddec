"""The saved tensors, as the rules read them."""

from typing import Any

import numpy as np
from smdebug.core.modes import ModeKeys
from smdebug.exceptions import TensorUnavailableForStep
from smdebug.trials.trial import Trial

from classifier.training.debugging.names import SCALAR


class SavedTensors:
    """The tensors of a trial by step; reductions are read from disk once for all rules.

    Steps are the trial's, which number training and evaluation together.
    """

    def __init__(self, trial: Trial):
        self.trial = trial
        self._reductions: dict[tuple[int, str, str, bool], dict[str, float]] = {}

    def training_step(self, step: int) -> int | None:
        """Return the number of `step` among the training steps; None if it is a step of evaluation."""
        mode, number = self.trial.mode_modestep(step)
        return number if mode == ModeKeys.TRAIN else None

    def reductions(self, step: int, regex: str, name: str, absolute: bool = False) -> dict[str, float]:
        """Return reduction `name` of each tensor matching `regex` at `step` that was saved with this reduction."""
        key = (step, regex, name, absolute)
        if key not in self._reductions:
            self._reductions = {key: value for key, value in self._reductions.items() if key[0] == step}
            found = {tensor: self._reduction(tensor, step, name, absolute) for tensor in self.names(step, regex)}
            self._reductions[key] = {tensor: float(value) for tensor, value in found.items() if value is not None}
        return self._reductions[key]

    def vectors(self, step: int, kind: str) -> dict[str, np.ndarray]:
        """Return all tensors of the `kind` saved at `step`, as vectors by the name that follows the kind."""
        names = self.names(step, f"^{kind}/")
        return {name.removeprefix(f"{kind}/"): np.ravel(self.trial.tensor(name).value(step)) for name in names}

    def scalar(self, step: int, name: str) -> float | None:
        """Return the scalar recorded with `step` under `name`, if there is one."""
        return self._first(step, f"^{SCALAR}/{name}")

    def loss(self, step: int) -> float | None:
        """Return the loss of `step` if it is a training step and its loss was saved."""
        if self.training_step(step) is None:
            return None
        return self._first(step, self.trial.collection("losses").include_regex[0])

    def names(self, step: int, regex: str) -> list[str]:
        return self.trial.tensor_names(step=step, regex=regex)

    def _first(self, step: int, regex: str) -> float | None:
        names = self.names(step, regex)
        return float(np.mean(self.trial.tensor(names[0]).value(step))) if names else None

    def _reduction(self, name: str, step: int, reduction: str, absolute: bool) -> Any:
        tensor = self.trial.tensor(name)
        try:
            return tensor.reduction_value(step, reduction, abs=absolute)
        except TensorUnavailableForStep:  # saved with other reductions
            return None
        except ValueError:  # saved whole, and smdebug's norms are for matrices
            return np.linalg.norm(np.ravel(tensor.value(step)))
