"""How long tests wait for what must happen. SageMaker's deadlines are limits, and stand in the tests about them.

An upper bound costs nothing when the thing happens. TEST_PATIENCE=3 triples all of them, for a slower machine.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 600 * float(os.environ.get("TEST_PATIENCE", 1))
# pytest's limit for a whole test and its fixtures: longer, so that a wait within it says what did not happen.
LIMIT_S = 2 * PATIENCE_S


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as `condition` is true. Raises AssertionError with `what` if it never is."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.01)


def signals(pid: int, kind: str) -> set[int]:
    """Return the process's signals of one kind: SigCgt are those with a handler, ShdPnd those not delivered yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.partition(f"{kind}:")[2].split()[0], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
