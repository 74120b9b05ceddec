"""The process that evaluates the rules while training goes on.

Usage: python -m classifier.training.debugging.rules.process FOLDER LOSS

It follows what the hook writes to FOLDER until its standard input has a line or ends. It writes one JSON object a
line: each rule's verdict as soon as it finds something, or no more, and at the end all verdicts with the series for the
report. LOSS is the loss of guessing.
"""

import json
import math
import os
import select
import sys
from pathlib import Path
from typing import Any

from classifier.training.debugging import smdebug_compat
from classifier.training.debugging.rules.verdicts import explain
from classifier.training.interrupt import ignore_signals

SECONDS_BETWEEN_LOOKS = 0.5
# If every core trains, a delay of one of them delays the whole step.
NICENESS = 10


def main(folder: str, guessing_loss: str) -> None:
    # smdebug reads without torch too; this process has to be small and start quickly.
    sys.modules["torch"] = None  # pyright: ignore[reportArgumentType] # Python's way to make an import fail
    ignore_signals()  # the training process decides when this one ends
    os.nice(NICENESS)
    smdebug_compat.load()
    try:
        follow(Path(folder), float(guessing_loss))
    except BrokenPipeError:  # nothing reads the output any more: the training process has died
        sys.stdout = None
    except Exception as error:  # the rules are there to help; training does not depend on them
        write_message(error=f"{type(error).__name__}: {error}")


def follow(folder: Path, guessing_loss: float) -> None:
    """Evaluate every rule at every saved step, as they are saved."""
    from smdebug.trials import create_trial

    from classifier.training.debugging.rules.evaluator import Evaluator

    evaluator, ended = None, False
    while not ended:
        ended = bool(select.select([sys.stdin], [], [], SECONDS_BETWEEN_LOOKS)[0])
        # Before the first step there is nothing, and create_trial() would wait for it.
        if evaluator is None and any(folder.glob("collections/*/*_collections.json")):
            trial: Any = create_trial(str(folder))  # a LocalTrial, of the three that pyright sees
            evaluator = Evaluator(trial, guessing_loss)
        for verdict in evaluator.evaluate_new_steps() if evaluator else ():
            write_message(changed=verdict)
    if evaluator:
        write_message(rules=explain(evaluator.verdicts()), series=evaluator.series.values())
    else:
        write_message(rules=[], series={})


def write_message(**message: object) -> None:
    """Write `message` as a line of JSON to standard output."""
    print(json.dumps(finite(message)), flush=True)


def finite(value: Any) -> Any:
    """Return `value` with None for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main(*sys.argv[1:])
