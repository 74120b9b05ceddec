"""The base of the rules, each of which recognises one fault of a training in the tensors that the hook saved.

They have the names, parameters and default thresholds that AWS documents for SageMaker Debugger's rules, but they
are our own: AWS's closed rule container is not needed. If AWS's condition alone would also blame healthy training,
the rule has one more condition; its docstring says which.
"""

from abc import abstractmethod
from dataclasses import dataclass, field, fields
from typing import ClassVar

from smdebug.rules import Rule
from smdebug.trials.trial import Trial

from classifier.training.debugging.names import RuleName
from classifier.training.debugging.rules.saved_tensors import SavedTensors
from classifier.training.debugging.rules.verdicts import Verdict


@dataclass(eq=False)
class JobRule(Rule):
    """A rule that is evaluated at each saved step in order, until it finds something.

    A subclass is a dataclass as well: its keyword-only fields are the rule's parameters. RuleName has its name.
    """

    name: ClassVar[RuleName]
    advice: ClassVar[str]

    base_trial: Trial
    tensors: SavedTensors
    evaluated: int = field(default=0, init=False)  # steps
    found_at: int | None = field(default=None, init=False)
    evidence: str = field(default="", init=False)

    def __init_subclass__(cls) -> None:
        cls.name = RuleName(cls.__name__)

    def __post_init__(self) -> None:
        super().__init__(self.base_trial, action_str="")

    @abstractmethod
    def find_evidence(self, step: int) -> str | None:
        """Return the evidence in numbers that this step completes, if any."""

    def invoke_at_step(self, step: int) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.evidence = self.find_evidence(step) or ""
        return bool(self.evidence)

    def evaluate(self, step: int) -> bool:
        """Evaluate the rule at `step`; return whether it has found something now, for the first time."""
        if self.found_at is not None:
            return False
        self.evaluated += 1
        if not self.invoke_at_step(step):
            return False
        self.found_at = self.last_training_step(step)
        return True

    def last_training_step(self, step: int) -> int:
        """Return the number of the last training step up to `step` of the trial."""
        numbers = (self.tensors.training_step(number) for number in self.base_trial.steps() if number <= step)
        return max((number for number in numbers if number is not None), default=0)

    def verdict(self) -> Verdict:
        found = self.found_at is not None
        return {
            "rule": self.name,
            "status": "found" if found else "not found" if self.evaluated else "not evaluated",
            "step": self.found_at,
            "evidence": self.evidence,
            "advice": self.advice if found else "",
            "cause": None,
            "parameters": {item.name: getattr(self, item.name) for item in fields(self) if item.init and item.kw_only},
        }
