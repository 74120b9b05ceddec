"""Where the time of a whole job goes, in seconds by part."""

import time
from contextlib import AbstractContextManager

import psutil
import torch

from classifier.training.profiling.stopwatch import OTHER, Stopwatch

START, FIRST_BATCHES, WAITING, STEPS = "start", "first batches", "waiting", "steps"
VALIDATION, TEST, SAVING, LABELS, INT8, END = "validation", "test", "saving", "labels", "int8", "end"
# What each part is, in the order of a job.
PARTS = {
    START: "imports, reading the folders, loading the network",
    FIRST_BATCHES: "waiting for the first batch of an epoch",
    WAITING: "waiting for the other batches of an epoch",
    STEPS: "training steps",
    VALIDATION: "validation of each epoch",
    SAVING: "writing checkpoints and the best weights",
    TEST: "the test phase",
    LABELS: "looking for wrong labels",
    INT8: "writing the ONNX network and measuring int8",
    END: "ending the debugger and the check of the data, and the files until this report",
    OTHER: "everything else",
}


class JobTime:
    """Measures from the start of this process; what is no part's is "start" before the first part, and then "other".

    Its state has the seconds of the processes before this one, if the job was interrupted.
    """

    def __init__(self):
        self.watch = Stopwatch(torch.device("cpu"))  # never waits for the GPU
        self.watch.mark -= time.time() - psutil.Process().create_time()
        self.watch.parts = [START]
        self.earlier: dict[str, float] = {}

    @property
    def part(self) -> str:
        """Return the part that is under way."""
        return self.watch.parts[-1]

    def timed(self, part: str) -> AbstractContextManager:
        if self.watch.parts == [START]:
            self.watch.settle()
            self.watch.parts = [OTHER]
        return self.watch.timed(part)

    def state_dict(self) -> dict[str, float]:
        self.watch.settle()
        sums = {part: self.earlier.get(part, 0.0) + self.watch.seconds.get(part, 0.0) for part in PARTS}
        return {part: seconds for part, seconds in sums.items() if seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from the `state` of an earlier process."""
        self.earlier = dict(state)
