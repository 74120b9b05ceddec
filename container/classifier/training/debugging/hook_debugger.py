"""The debugger with smdebug's hook in this process, and the rules in another."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from classifier.errors import UserError
from classifier.training.debugging.debugger import Debugger, Debugging
from classifier.training.debugging.hook import MODES, DebugHook, disable_callbacks, pass_errors_to
from classifier.training.debugging.rules.client import RulesClient
from classifier.training.debugging.rules.verdicts import sentence

logger = logging.getLogger(__name__)
# Events first: when the rules see the index they look for the events, and when they see the collections for the index.
WRITTEN = ("events", "index", "collections")


class HookDebugger(Debugger):
    """An error of the hook turns it off with one log line.

    Its state holds the files in `tensors` if they are `ours`; SageMaker keeps those that it asked for.
    """

    def __init__(self, hook: DebugHook, tensors: Path, ours: bool, rules: RulesClient, stop_on: tuple[str, ...]):
        self.why = None
        self.hook = hook
        self.tensors = tensors
        self.ours = ours
        self.rules = rules
        self.stop_on = stop_on
        pass_errors_to(self._turn_off)

    def set_phase(self, name: str) -> None:
        with self._guard():
            self.hook.set_mode(MODES[name])

    def record_scalar(self, name: str, value: float) -> None:
        with self._guard():
            self.hook.record_scalar(name, value)

    def check_rules(self) -> None:
        for verdict in self.rules.found:
            if verdict["rule"] in self.stop_on:
                raise UserError(f"stop_on_rule: {sentence(verdict)}")

    def state_dict(self) -> dict[str, Any]:
        if self.why:
            return {}
        with self._guard():
            return {"hook": self.hook.state_dict(), "files": read_files(self.tensors) if self.ours else {}}
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not state:
            return
        with self._guard():
            write_files(self.tensors, state["files"])
            self.hook.load_state_dict(state["hook"])

    def end(self) -> None:
        if self.rules.input.closed:
            return
        with self._guard():
            self.hook.close()
        self.close()

    def finish(self) -> Debugging:
        self.end()
        answer = self.rules.finish()
        return Debugging(self.why, str(self.tensors), answer.rules, answer.series, answer.error)

    def close(self) -> None:
        if self.why is None:
            with self._guard():
                self.hook.flush()
        disable_callbacks()
        self.hook.release()
        self.rules.end_input()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._turn_off(error)

    def _turn_off(self, error: Exception) -> None:
        if self.why is None:
            self.why = f"{type(error).__name__}: {error}"
            logger.warning("debugging is off for the rest of the run: %s", self.why)
            self.close()


def read_files(folder: Path) -> dict[str, bytes]:
    """Return all files that a hook has finished writing in `folder`, by relative path, in the order of WRITTEN."""
    paths = [path for part in WRITTEN for path in sorted((folder / part).rglob("*.*")) if path.suffix != ".tmp"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
