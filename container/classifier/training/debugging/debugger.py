"""Debugging: smdebug's hook on the training, and rules on what it saves. An error in it never harms the training.

The training loop tells a Debugger where it is: a HookDebugger, or a NoDebugger if debugging is off or cannot start.
"""

import contextlib
import json
import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.debugging import smdebug_compat
from classifier.training.debugging.config import copy_config, save_intervals, tensors_folder, write_config
from classifier.training.debugging.rules.client import RulesClient
from classifier.training.debugging.rules.verdicts import Verdict
from classifier.training.hyperparameters import NO_RULE, Hyperparameters
from classifier.training.parallel.processes import Group

logger = logging.getLogger(__name__)
TENSORS = "tensors"
CONFIG = "debughookconfig.json"

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
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


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

    def finish(self) -> Debugging:
        return Debugging(why=self.why)

    def close(self) -> None: ...


def make_debugger(
    contract: Contract,
    hp: Hyperparameters,
    network: torch.nn.Module,
    loss: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: Mapping[str, int],
    guessing_loss: float,
    timed: Timed,
    group: Group,
) -> Debugger:
    """Return the debugger of this process, which expects `steps` in smdebug's modes train and eval.

    `guessing_loss` is the loss of guessing. Raises UserError if stop_on_rule is given without debugging.
    """
    stop_on = () if hp.stop_on_rule == NO_RULE else tuple(hp.stop_on_rule.split(","))
    if hp.debug == "off":
        if stop_on:
            raise UserError(f"stop_on_rule is {hp.stop_on_rule!r}, but debug=off; accepted: debug=auto with it")
        return NoDebugger("debug=off")
    if not group.is_first:
        return NoDebugger("the first process debugs for all")
    try:
        given, config = contract.debug_hook_config, contract.output_data / CONFIG
        ours = not given.exists()
        if ours:
            tensors = contract.output_data / TENSORS
            shutil.rmtree(tensors, ignore_errors=True)  # of an earlier run in the same folder
            write_config(config, tensors, {mode: save_intervals(count) for mode, count in steps.items()})
        else:
            copy_config(given, config)
        tensors = tensors_folder(config)
        smdebug_compat.load()
        from classifier.training.debugging.hook import disable_callbacks, make_hook
        from classifier.training.debugging.hook_debugger import HookDebugger

        with contextlib.ExitStack() as undo:
            hook = make_hook(config, network, loss, optimizer, timed)
            undo.callback(disable_callbacks)
            undo.callback(hook.release)
            rules = RulesClient(tensors, guessing_loss)
            undo.pop_all()
        return HookDebugger(hook, tensors, ours, rules, stop_on)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        logger.warning("debugging is off: %s", why)
        return NoDebugger(why)
