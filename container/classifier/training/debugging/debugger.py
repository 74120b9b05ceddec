"""Debugging: smdebug's hook on the training, and the rules that look at what it saves. It never hurts training.

The loop in trainer.py tells a Debugger where it is; with debug=off, or after any error, that is one that does nothing.
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.debugging import smdebug_compat
from classifier.training.debugging.config import save_intervals, tensors_folder, write_config
from classifier.training.debugging.rules.client import RulesClient, sentence
from classifier.training.hyperparameters import NO_RULE, Hyperparameters
from classifier.training.parallel.processes import Group

logger = logging.getLogger(__name__)
Timed = Callable[[str], contextlib.AbstractContextManager]
TENSORS = "tensors"
CONFIG = "debughookconfig.json"
# Events first: the rules look for them when they see the index, and for that when they see the collections.
WRITTEN = ("events", "index", "collections")


@dataclass
class Debugging:
    """What debugging came to: `why` the hook was off, if it was, each rule's verdict, and series for the report."""

    why: str | None = None
    tensors: str | None = None
    rules: list[dict] = field(default_factory=list)
    series: dict = field(default_factory=dict)
    rules_error: str | None = None

    @property
    def found(self) -> list[dict]:
        return [verdict for verdict in self.rules if verdict["status"] == "found"]

    def write(self, path: Path) -> None:
        status = {"hook": "off" if self.why else "on", "why": self.why, "tensors": self.tensors}
        values = status | {"rules_error": self.rules_error, "rules": self.rules, "series": self.series}
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


class Debugger:
    """No debugging, and `why`."""

    def __init__(self, why: str):
        self.why: str | None = why

    def phase(self, name: str) -> None:
        """The steps that follow belong to the phase train, validation or test."""

    def record(self, **scalars: float) -> None:
        """Save figures of the pass over a phase that is just over."""

    def check(self) -> None:
        """Raise UserError if a rule that stop_on_rule names has found something."""

    def state_dict(self) -> dict:
        """What a resumed run needs to go on as one run."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state`, before the first step."""

    def finish(self) -> Debugging:
        """End debugging, after the last step."""
        return Debugging(why=self.why)

    def close(self) -> None:
        """End debugging in whatever state it is; may be called again."""


class HookDebugger(Debugger):
    """The hook in this process, the rules in another; an error of the hook turns it off with one line.

    Its state has the files in `tensors` where they are `ours`; SageMaker takes care of those it asked for.
    """

    def __init__(self, hook, tensors: Path, ours: bool, rules: RulesClient, stop_on: tuple[str, ...]):
        from classifier.training.debugging import hook as hooks

        self.why = None
        self.hook = hook
        self.tensors = tensors
        self.ours = ours
        self.rules = rules
        self.stop_on = stop_on
        self.modes = hooks.MODES
        # smdebug's callbacks catch their errors themselves; this is how they come here.
        self.agent = hooks.error_handling_agent
        self.agent.logger = self

    def phase(self, name: str) -> None:
        with self._guard():
            self.hook.set_mode(self.modes[name])

    def record(self, **scalars: float) -> None:
        with self._guard():
            self.hook.record(**scalars)

    def check(self) -> None:
        for verdict in self.rules.found:
            if verdict["rule"] in self.stop_on:
                raise UserError(f"stop_on_rule: {sentence(verdict)}")

    def state_dict(self) -> dict:
        if self.why:
            return {}
        with self._guard():
            return {"hook": self.hook.state_dict(), "files": read_files(self.tensors) if self.ours else {}}
        return {}

    def load_state_dict(self, state: dict) -> None:
        if not state:
            return
        with self._guard():
            write_files(self.tensors, state["files"])
            self.hook.load_state_dict(state["hook"])

    def finish(self) -> Debugging:
        with self._guard():
            self.hook.close()
        self.close()
        answer = self.rules.finish()
        return Debugging(self.why, str(self.tensors), answer.rules, answer.series, answer.error)

    def close(self) -> None:
        if self.why is None:
            with self._guard():
                self.hook.flush()
        self.agent.disable_smdebug = True  # the callbacks that stay on the model do nothing from here on
        self.hook.release()
        self.rules.end_input()

    def error(self, _message: str) -> None:
        """smdebug announces an error with a sentence of its own, before exception()."""

    def exception(self, error: Exception) -> None:
        if self.why is None:
            self.why = f"{type(error).__name__}: {error}"
            logger.warning("debugging is off for the rest of the run: %s", self.why)
            self.close()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.exception(error)


def read_files(folder: Path) -> dict[str, bytes]:
    """All that a hook has finished writing in `folder`, by relative path, in the order of WRITTEN."""
    paths = [path for part in WRITTEN for path in sorted((folder / part).rglob("*.*")) if path.suffix != ".tmp"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def make_debugger(
    contract: Contract,
    hp: Hyperparameters,
    model: torch.nn.Module,
    loss: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: Mapping[str, int],
    guessing_loss: float,
    timed: Timed,
    group: Group,
) -> Debugger:
    """The debugger of a training of so many `steps` in the modes train and eval.

    Raises UserError where stop_on_rule is given without debugging.
    """
    stop_on = tuple(hp.stop_on_rule.split(",")) if hp.stop_on_rule != NO_RULE else ()
    if hp.debug == "off":
        if stop_on:
            raise UserError(f"stop_on_rule is {hp.stop_on_rule!r}, but debug=off; accepted: debug=auto with it")
        return Debugger("debug=off")
    if not group.is_first:
        return Debugger("the first process debugs for all")
    try:
        config = contract.debug_hook_config
        ours = not config.exists()
        if ours:
            config, tensors = contract.output_data / CONFIG, contract.output_data / TENSORS
            shutil.rmtree(tensors, ignore_errors=True)  # of an earlier run in the same folder
            modes = {mode: save_intervals(count) for mode, count in steps.items()}
            write_config(config, tensors, modes)
        tensors = tensors_folder(config)
        smdebug_compat.load()
        from classifier.training.debugging.hook import make_hook

        hook = make_hook(config, model, loss, optimizer, timed)
        return HookDebugger(hook, tensors, ours, RulesClient(tensors, guessing_loss), stop_on)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        logger.warning("debugging is off: %s", why)
        return Debugger(why)
