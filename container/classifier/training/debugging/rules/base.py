"""Rules: what a training can suffer from, recognised from the tensors that the hook saved.

They carry the names, parameters and default thresholds that AWS documents for SageMaker Debugger's rules, but they
are our own: AWS's closed rule container is not needed. Where AWS's condition alone would also blame healthy
training, the rule asks for one thing more; its docstring says which.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from smdebug.core.modes import ModeKeys
from smdebug.exceptions import TensorUnavailableForStep
from smdebug.rules import Rule
from smdebug.trials.trial import Trial


class Tensors:
    """What a trial holds, by training step: each value is read from disk once for all rules."""

    def __init__(self, trial: Trial):
        self.trial = trial
        self._steps: dict[tuple, dict[str, float]] = {}

    def training_step(self, step: int) -> int | None:
        """The number among the training steps of the trial's `step`; None where it is one of evaluation."""
        mode, number = self.trial.mode_modestep(step)
        return number if mode == ModeKeys.TRAIN else None

    def reductions(self, step: int, regex: str, name: str, absolute: bool = False) -> dict[str, float]:
        """Reduction `name` of the tensors matching `regex` at `step`; without those that were not reduced so."""
        key = (step, regex, name, absolute)
        if key not in self._steps:
            self._steps = {key: value for key, value in self._steps.items() if key[0] == step}
            found = {tensor: self._reduction(tensor, step, name, absolute) for tensor in self.names(step, regex)}
            self._steps[key] = {tensor: float(value) for tensor, value in found.items() if value is not None}
        return self._steps[key]

    def vectors(self, step: int, prefix: str) -> dict[str, np.ndarray]:
        """The whole tensors whose names start with `prefix`, without it."""
        names = self.names(step, f"^{prefix}")
        return {name.removeprefix(prefix): np.ravel(self.trial.tensor(name).value(step)) for name in names}

    def scalar(self, step: int, regex: str) -> float | None:
        names = self.names(step, regex)
        return float(np.mean(self.trial.tensor(names[0]).value(step))) if names else None

    def loss(self, step: int) -> float | None:
        """The loss of the training step `step`, if it is one and was saved."""
        if self.training_step(step) is None:
            return None
        return self.scalar(step, self.trial.collection("losses").include_regex[0])

    def names(self, step: int, regex: str) -> list[str]:
        return self.trial.tensor_names(step=step, regex=regex)

    def _reduction(self, name: str, step: int, reduction: str, absolute: bool) -> float | None:
        tensor = self.trial.tensor(name)
        try:
            return tensor.reduction_value(step, reduction, abs=absolute)
        except TensorUnavailableForStep:  # saved with other reductions
            return None
        except ValueError:  # saved whole, and smdebug's norms are for matrices
            return np.linalg.norm(np.ravel(tensor.value(step)))


class JobRule(Rule):
    """A rule that looks at each saved step in order until it has found what it looks for."""

    parameters: ClassVar[Mapping[str, object]] = {}
    advice: ClassVar[str]

    def __init__(self, base_trial: Trial, tensors: Tensors, **parameters: object):
        super().__init__(base_trial, action_str="")
        unknown = parameters.keys() - self.parameters.keys()
        if unknown:
            raise TypeError(f"{self.rule_name} has no parameter {', '.join(unknown)}")
        self.values = dict(self.parameters) | parameters
        self.tensors = tensors
        self.seen = 0
        self.found_at: int | None = None
        self.evidence = ""

    @abstractmethod
    def look(self, step: int) -> str | None:
        """The evidence in numbers, if `step` has any."""

    def invoke_at_step(self, step: int) -> bool:
        self.evidence = self.look(step) or ""
        return bool(self.evidence)

    def watch(self, step: int) -> bool:
        """Look at `step`; true where the rule has found something just now."""
        if self.found_at is not None:
            return False
        self.seen += 1
        if not self.invoke_at_step(step):
            return False
        self.found_at = self.last_training_step(step)
        return True

    def last_training_step(self, step: int) -> int:
        before = [number for number in self.base_trial.steps(ModeKeys.TRAIN) if self.global_step(number) <= step]
        return before[-1] if before else 0

    def global_step(self, training_step: int) -> int:
        return self.base_trial.global_step(ModeKeys.TRAIN, training_step)

    def verdict(self) -> dict[str, object]:
        status = "found" if self.found_at is not None else "not found" if self.seen else "not evaluated"
        return {
            "rule": self.rule_name,
            "status": status,
            "step": self.found_at,
            "evidence": self.evidence,
            "advice": self.advice if self.found_at is not None else "",
            "parameters": self.values,
        }
