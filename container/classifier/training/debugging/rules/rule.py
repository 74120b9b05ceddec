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
from classifier.training.debugging.rules.verdicts import Status, Verdict


@dataclass(eq=False)
class JobRule(Rule):
    """A rule that is evaluated at each saved step in order: what it found may be gone at a later one.

    A subclass is a dataclass as well: its keyword-only fields are the rule's parameters. RuleName has its name.
    """

    name: ClassVar[RuleName]
    advice: ClassVar[str]

    base_trial: Trial
    tensors: SavedTensors
    evaluated: int = field(default=0, init=False)  # steps
    judged: bool = field(default=False, init=False)  # it has seen enough to tell
    holds: bool = field(default=False, init=False)
    found_at: int | None = field(default=None, init=False)
    gone_at: int | None = field(default=None, init=False)
    evidence: str = field(default="", init=False)

    def __init_subclass__(cls) -> None:
        cls.name = RuleName(cls.__name__)

    def __post_init__(self) -> None:
        super().__init__(self.base_trial, action_str="")

    @abstractmethod
    def find_evidence(self, step: int) -> str | None:
        """Return the evidence in numbers if the fault is there now, "" if it is not, None if it is too early to say."""

    def invoke_at_step(self, step: int) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return bool(self.find_evidence(step))

    def evaluate(self, step: int) -> bool:
        """Evaluate the rule at `step`; return whether it finds something now, or no more, and did not before."""
        self.evaluated += 1
        evidence = self.find_evidence(step)
        if evidence is None:
            return False
        self.judged = True
        changed = bool(evidence) != self.holds
        if changed and evidence:
            self.found_at, self.gone_at, self.evidence = self.last_training_step(step), None, evidence
        elif changed:
            self.gone_at = self.last_training_step(step)
        self.holds = bool(evidence)
        return changed

    def last_training_step(self, step: int) -> int:
        """Return the number of the last training step up to `step` of the trial."""
        numbers = (self.tensors.training_step(number) for number in self.base_trial.steps() if number <= step)
        return max((number for number in numbers if number is not None), default=0)

    def status(self) -> Status:
        if self.holds:
            return "found"
        if self.found_at is not None:
            return "gone"
        return "not found" if self.judged else "too early to say" if self.evaluated else "not evaluated"

    def verdict(self) -> Verdict:
        return {
            "rule": self.name,
            "status": self.status(),
            "step": self.found_at,
            "gone_at": self.gone_at,
            "evidence": self.evidence,
            "advice": self.advice if self.holds else "",
            "cause": None,
            "parameters": {item.name: getattr(self, item.name) for item in fields(self) if item.init and item.kw_only},
        }
