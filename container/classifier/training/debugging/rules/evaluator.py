"""The evaluation of all rules. Imports smdebug: smdebug_compat.load() comes first."""

from collections.abc import Iterator

from smdebug.analysis.utils import no_refresh
from smdebug.trials.trial import Trial

from classifier.training.debugging.rules.loss_rules import LearningRateTooHigh, LossNotDecreasing, Overfit, Overtraining
from classifier.training.debugging.rules.rule import JobRule
from classifier.training.debugging.rules.saved_tensors import SavedTensors
from classifier.training.debugging.rules.series import Series
from classifier.training.debugging.rules.tensor_rules import (
    DeadRelu,
    ExplodingTensor,
    PoorWeightInitialization,
    VanishingGradient,
)
from classifier.training.debugging.rules.verdicts import Verdict

# These compare losses with that of guessing.
RULES_OF_GUESSING = (LearningRateTooHigh, LossNotDecreasing)
RULES: tuple[type[JobRule], ...] = (
    Overfit,
    Overtraining,
    ExplodingTensor,
    VanishingGradient,
    PoorWeightInitialization,
    DeadRelu,
)


class Evaluator:
    """Evaluates all rules at the saved steps of a trial, and collects the series for the report."""

    def __init__(self, trial: Trial, guessing_loss: float):
        self.trial = trial
        self.tensors = SavedTensors(trial)
        self.series = Series()
        self.last_step = -1
        of_loss = (rule(trial, self.tensors, guessing_loss=guessing_loss) for rule in RULES_OF_GUESSING)
        self.rules = [*of_loss, *(rule(trial, self.tensors) for rule in RULES)]

    def evaluate_new_steps(self) -> Iterator[Verdict]:
        """Yield the verdict of each rule that finds something in the steps saved since the last call, or no more."""
        for step in (step for step in self.trial.steps() if step > self.last_step):
            self.last_step = step
            with no_refresh([self.trial]):  # or each value would look for new files first
                found = [rule.verdict() for rule in self.rules if rule.evaluate(step)]
                self.series.add(self.tensors, step)
            yield from found

    def verdicts(self) -> list[Verdict]:
        return [rule.verdict() for rule in self.rules]
