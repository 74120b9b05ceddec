"""What a job's failure says of the rules, once these have judged the last step."""

import pytest

from classifier.errors import UserError
from classifier.training.debugging.debugger import Debugging, NoDebugger
from classifier.training.results import with_rules
from classifier.training.trainer import Diverged

FOUND = {"rule": "LearningRateTooHigh", "status": "found", "step": 4, "evidence": "a loss of 9", "advice": "Lower lr."}
RULE = "rule LearningRateTooHigh at training step 4: a loss of 9. Lower lr."
NAN, FULL = Diverged("the loss is nan: lr=10 is likely too high"), OSError("the disk is full")


class Stopping(NoDebugger):
    """Knows a rule that stop_on_rule names and that has found something."""

    def check_rules(self):
        raise UserError(f"stop_on_rule: {RULE}")


@pytest.mark.parametrize(
    ("failure", "stops", "said"),
    [
        (NAN, True, f"stop_on_rule: {RULE} Then {NAN}"),  # an epoch of few steps ends before the rules have looked
        (NAN, False, f"{NAN}; {RULE}"),
        (None, True, f"stop_on_rule: {RULE}"),
        (FULL, True, str(FULL)),
        (FULL, False, str(FULL)),
    ],
)
def test_the_rule_that_was_to_stop_the_job_comes_first(failure, stops, said):
    debugger = Stopping("") if stops else NoDebugger("")
    assert str(with_rules(failure, debugger, Debugging(rules=[FOUND]))) == said


def test_where_no_rule_has_found_anything_the_failure_stays():
    assert with_rules(NAN, NoDebugger(""), Debugging()) is NAN
    assert with_rules(None, NoDebugger(""), Debugging()) is None
