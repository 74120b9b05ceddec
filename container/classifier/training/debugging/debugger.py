"""Debugging: smdebug's hook on the training, and rules on what it saves. An error in it never harms the training.

The training loop tells a Debugger where it is: a HookDebugger, or a NoDebugger if debugging is off or cannot start.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifier.files import write_file
from classifier.training.debugging.rules.verdicts import Verdict

# The context manager that times the part of a step named by its argument.
Timed = Callable[[str], AbstractContextManager]


@dataclass
class Debugging:
    """The result of debugging: each rule's verdict, and series for the report; `why` the hook was off, if it was."""

    why: str | None = None
    tensors: str | None = None
    rules: list[Verdict] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)
    rules_error: str | None = None

    @property
    def found(self) -> list[Verdict]:
        return [verdict for verdict in self.rules if verdict["status"] == "found"]

    def write_json(self, path: Path) -> None:
        status = {"hook": "off" if self.why else "on", "why": self.why, "tensors": self.tensors}
        values = status | {"rules_error": self.rules_error, "rules": self.rules, "series": self.series}
        write_file(path, f"{json.dumps(values, indent=1)}\n".encode())


class Debugger(ABC):
    """Watches a training; `why` it is off, or None while it is on."""

    why: str | None

    @abstractmethod
    def set_phase(self, name: str) -> None:
        """Assign the steps that follow to the phase train, validation or test."""

    @abstractmethod
    def record_scalar(self, name: str, value: float) -> None:
        """Save a value of the whole pass over a phase, after its last step."""

    @abstractmethod
    def check_rules(self) -> None:
        """Raise UserError if a rule that stop_on_rule names has found something."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to be debugged as one run."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`, before the first step."""

    @abstractmethod
    def end(self) -> None:
        """Save no more after the last step, so that the rules judge the rest until finish()."""

    @abstractmethod
    def finish(self) -> Debugging:
        """End debugging after the last step, and return its result."""

    @abstractmethod
    def close(self) -> None:
        """End debugging at any point; may be called again."""


class NoDebugger(Debugger):
    """Does nothing, and knows `why`."""

    def __init__(self, why: str):
        self.why = why

    def set_phase(self, name: str) -> None: ...

    def record_scalar(self, name: str, value: float) -> None: ...

    def check_rules(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def end(self) -> None: ...

    def finish(self) -> Debugging:
        return Debugging(why=self.why)

    def close(self) -> None: ...
