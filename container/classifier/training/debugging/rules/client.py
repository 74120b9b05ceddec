"""The training's side of the process that evaluates the rules."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifier.training.debugging.rules.verdicts import Verdict, sentence

logger = logging.getLogger(__name__)
SECONDS_TO_FINISH = 60
PACKAGES = Path(__file__).parents[4]


@dataclass
class Answer:
    """Every rule's verdict and the series for the report, or the error because of which they are not complete."""

    rules: list[Verdict] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


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
        assert self.process.stdin and self.process.stdout  # both are pipes
        self.input, self.output = self.process.stdin, self.process.stdout
        self.found: list[Verdict] = []
        self.answer: Answer | None = None
        self.reader = threading.Thread(target=self._read_messages, daemon=True)
        self.reader.start()

    def end_input(self) -> None:
        """Tell the process that nothing more will be saved; may be called again."""
        if self.input.closed:
            return
        # Closing it is not enough: the processes that read images have inherited it, and keep it open.
        with contextlib.suppress(BrokenPipeError):
            self.input.write("end\n")
            self.input.flush()
        with contextlib.suppress(BrokenPipeError):
            self.input.close()

    def finish(self) -> Answer:
        """Return the verdicts, after waiting for them for SECONDS_TO_FINISH at most."""
        self.end_input()
        self.reader.join(SECONDS_TO_FINISH)
        self.process.kill()  # it has given its answer, or takes too long
        self.process.wait()
        self.reader.join()
        self.output.close()
        answer = self.answer or Answer(self.found, error="the process that evaluates them gave no answer")
        if answer.error:
            logger.warning("the rules were not all evaluated: %s", answer.error)
        return answer

    def _read_messages(self) -> None:
        for line in self.output:
            message = json.loads(line)
            if verdict := message.get("changed"):
                found = verdict["status"] == "found"
                others = [other for other in self.found if other["rule"] != verdict["rule"]]
                self.found = [*others, verdict] if found else others
                logger.log(logging.WARNING if found else logging.INFO, "%s", sentence(verdict))
            else:
                verdicts = message.get("rules", self.found)
                self.answer = Answer(verdicts, message.get("series", {}), message.get("error"))
