"""The training's end of the process that evaluates the rules."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)
SECONDS_TO_FINISH = 60
PACKAGES = Path(__file__).parents[4]


@dataclass
class Answer:
    """Every rule's verdict, the series for the report, or why there are none."""

    rules: list[dict] = field(default_factory=list)
    series: dict = field(default_factory=dict)
    error: str | None = None


def sentence(verdict: Mapping) -> str:
    """A rule's finding in one line."""
    return f"rule {verdict['rule']} at training step {verdict['step']}: {verdict['evidence']}. {verdict['advice']}"


class RulesClient:
    """Starts the process, logs what its rules find, and collects their verdicts."""

    def __init__(self, tensors: Path, guessing_loss: float):
        path = os.pathsep.join([str(PACKAGES), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "classifier.training.debugging.rules.process", str(tensors), str(guessing_loss)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            text=True,
        )
        self.found: list[dict] = []
        self.answer: Answer | None = None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def end_input(self) -> None:
        """Tell the process that nothing more will be saved; may be called again."""
        if self.process.stdin.closed:
            return
        # To close it is not enough: the processes that read images have inherited it, and keep it open.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("end\n")
            self.process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def finish(self) -> Answer:
        """Wait for the verdicts, but not for ever."""
        self.end_input()
        self.reader.join(SECONDS_TO_FINISH)
        self.process.kill()  # it has said all, or takes too long
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        if self.answer is None:
            self.answer = Answer(self.found, error="the rules did not answer")
        if self.answer.error:
            logger.warning("the rules were not all evaluated: %s", self.answer.error)
        return self.answer

    def _read(self) -> None:
        for line in self.process.stdout:
            message = json.loads(line)
            if "found" in message:
                self.found.append(message["found"])
                logger.warning("%s", sentence(message["found"]))
            else:
                verdicts = message.get("rules", self.found)
                self.answer = Answer(verdicts, message.get("series", {}), message.get("error"))
