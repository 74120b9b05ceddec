"""The process that evaluates the rules while training goes on.

Usage: python -m classifier.training.debugging.rules.process FOLDER LOSS

It follows what the hook writes to FOLDER until its standard input has a line or ends, and writes one JSON object a
line: each rule's verdict as soon as it has found something, and in the end all of them, with the series for the
report. LOSS is what guessing would give.
"""

import json
import math
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

from classifier.training.debugging import smdebug_compat
from classifier.training.interrupt import ignore_signals

SECONDS_BETWEEN_LOOKS = 0.5
# Where every core trains, whatever holds up one of them holds up the step.
NICENESS = 10
# Each cause with what it often leads to, the first cause first.
CONSEQUENCES = {
    "LearningRateTooHigh": (
        "ExplodingTensor",
        "DeadRelu",
        "VanishingGradient",
        "LossNotDecreasing",
        "Overfit",
        "Overtraining",
    ),
    "PoorWeightInitialization": ("VanishingGradient", "DeadRelu", "LossNotDecreasing"),
    "DeadRelu": ("VanishingGradient",),
}


def main(folder: str, guessing_loss: str) -> None:
    # smdebug can do without torch when it only reads; this process is to be small and quick to start.
    sys.modules["torch"] = None
    ignore_signals()  # the training process decides when this one ends
    os.nice(NICENESS)
    smdebug_compat.load()
    try:
        follow(Path(folder), float(guessing_loss))
    except BrokenPipeError:  # nobody listens any more: the training process has died
        sys.stdout = None
    except Exception as error:  # the rules are there to help; training does not depend on them
        say(error=f"{type(error).__name__}: {error}")


def follow(folder: Path, guessing_loss: float) -> None:
    """Evaluate every rule at every saved step, as they come."""
    from smdebug.trials import create_trial

    watch, ended = None, False
    while not ended:
        ended = bool(select.select([sys.stdin], [], [], SECONDS_BETWEEN_LOOKS)[0])
        # Before the first step there is nothing, and create_trial() would wait for it.
        if watch is None and any(folder.glob("collections/*/*_collections.json")):
            watch = Watch(create_trial(str(folder)), guessing_loss)
        for verdict in watch.look() if watch else ():
            say(found=verdict)
    say(rules=explain(watch.verdicts()) if watch else [], series=watch.series.values() if watch else {})


class Watch:
    """All rules on one trial."""

    def __init__(self, trial, guessing_loss: float):
        from classifier.training.debugging.rules import losses as rules_of_losses
        from classifier.training.debugging.rules import tensors as rules_of_tensors
        from classifier.training.debugging.rules.base import Tensors
        from classifier.training.debugging.rules.series import Series

        self.trial = trial
        self.tensors = Tensors(trial)
        self.series = Series()
        self.last = -1
        classes = (*rules_of_losses.RULES, *rules_of_tensors.RULES)
        given = {rules_of_losses.LearningRateTooHigh: {"guessing_loss": guessing_loss}}
        self.rules = [rule(trial, self.tensors, **given.get(rule, {})) for rule in classes]

    def look(self) -> Iterator[dict]:
        """The verdict of each rule that has found something in the steps saved since the last look."""
        from smdebug.analysis.utils import no_refresh

        for step in (step for step in self.trial.steps() if step > self.last):
            self.last = step
            with no_refresh([self.trial]):  # or each value would look for new files first
                found = [rule.verdict() for rule in self.rules if rule.watch(step)]
                self.series.add(self.tensors, step)
            yield from found

    def verdicts(self) -> list[dict]:
        return [rule.verdict() for rule in self.rules]


def explain(verdicts: list[dict]) -> list[dict]:
    """Mark what is likely a consequence of something else that was found, and say so in the place of its advice."""
    found = {verdict["rule"] for verdict in verdicts if verdict["status"] == "found"}
    for verdict in verdicts:
        causes = [cause for cause, effects in CONSEQUENCES.items() if cause in found and verdict["rule"] in effects]
        verdict["cause"] = causes[0] if causes and verdict["rule"] in found else None
        if verdict["cause"]:
            verdict["advice"] = f"Likely a consequence of {verdict['cause']}: mend that first."
    return verdicts


def say(**message: object) -> None:
    print(json.dumps(finite(message)), flush=True)


def finite(value):
    """`value` with None for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main(*sys.argv[1:])
