"""Checkpoints: all that training needs to go on where it was, as if it had never stopped.

A run's checkpoints are in a folder of their own, named after the run's identity, so that others which share the
checkpoints folder, such as the trials of a tuning job, are never mistaken for it and never touched.
"""

import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from classifier.training.data.folders import Dataset
from classifier.training.evaluate import Evaluation, Mistake
from classifier.training.history import EpochUnderWay, History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.parallel.processes import ALONE, Alone

logger = logging.getLogger(__name__)
# The newest, and the one before it in case the newest is damaged.
KEPT = 2
SECONDS_BETWEEN = 300
# At the end of an epoch that is shorter than a few savings there is nothing yet that is worth one.
MOST_OF_THE_TIME = 0.1
# What may change while the run stays the same: none of these changes what a step does to the weights, and more
# epochs go on from where fewer ended. What precision comes to is part of the identity, not its name.
FREE = {
    "epochs",
    "early_stopping_patience",
    "precision",
    "workers",
    "report_images",
    "debug",
    "profile",
    "stop_on_rule",
}
DIGEST_BYTES = hashlib.sha256().digest_size
# A checkpoint is read without running what may stand in it: it holds tensors, plain values and these.
HELD = [
    *(History, EpochUnderWay, Evaluation, Mistake),
    *(np.ndarray, np.dtype, np._core.multiarray._reconstruct, np.dtypes.Int64DType),
    *(np.dtypes.Float32DType, np.dtypes.Float64DType),
]


class Part(Protocol):
    """Something with a state, as PyTorch's modules and optimisers have it."""

    def state_dict(self) -> object: ...

    def load_state_dict(self, state) -> object: ...


class RandomState:
    """The state of torch's random numbers, on the CPU and on every GPU."""

    def state_dict(self) -> dict[str, object]:
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        torch.set_rng_state(state["cpu"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])


class Checkpoints:
    """The checkpoints in `folder` of the run that `identity` names; the first process of the `group` keeps them."""

    def __init__(self, folder: Path, identity: str, group: Alone = ALONE):
        self.folder = folder / f"run-{identity[:16]}"
        self.group = group
        self.saved_at = time.monotonic()
        self.cost = 0.0

    def is_due(self, epoch_ended: bool) -> bool:
        """Whether it is time to save: at the end of an epoch, and every few minutes."""
        wait = self.cost / MOST_OF_THE_TIME if epoch_ended else SECONDS_BETWEEN
        return time.monotonic() - self.saved_at >= wait

    def save(self, step: int, parts: Mapping[str, Part]) -> None:
        """Write the state of `parts` after training step `step`. Where that fails, a warning says so and no more.

        1. Serialise, so that nothing of the training can change it any more. 2. Write it aside, all the way to the
        disk. 3. Rename it: from here on it is the newest. 4. Remove those that are older than the one before it.
        """
        if not self.group.is_first:
            return
        started = time.monotonic()
        buffer = io.BytesIO()
        torch.save({name: part.state_dict() for name, part in parts.items()}, buffer)
        path = self.folder / f"step-{step:010}.pt"
        aside = path.with_suffix(".partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(aside, hashlib.sha256(buffer.getbuffer()).digest(), buffer.getbuffer())
            aside.replace(path)
            for older in self._newest_first()[KEPT:]:
                older.unlink()
        except OSError as error:
            logger.warning("no checkpoint of step %d: %s: %s", step, error.filename or aside, error.strerror)
            if aside.is_file():
                aside.unlink()
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def load(self, parts: Mapping[str, Part]) -> bool:
        """Put `parts` into the state of the newest good checkpoint; false where there is none."""
        states = self.group.broadcast(self._read_newest() if self.group.is_first else None)
        for name, part in parts.items() if states else ():
            part.load_state_dict(states[name])
        return bool(states)

    def _read_newest(self) -> dict[str, object] | None:
        strangers = [path.name for path in sorted(self.folder.parent.glob("*")) if path != self.folder]
        if strangers:
            logger.info("%s: left alone, since not of this run: %s", self.folder.parent, ", ".join(strangers))
        for path in self._newest_first():
            try:
                return read(path)
            except (OSError, ValueError) as error:
                logger.warning("%s is passed over: %s", path, error)
        return None

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def write(path: Path, *contents: bytes | memoryview) -> None:
    """Write `contents` to the new file `path`, all the way to the disk."""
    with path.open("wb") as file:
        for content in contents:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> dict[str, object]:
    """The states in the checkpoint `path`, on the CPU. Raises ValueError where it is damaged, and OSError."""
    content = path.read_bytes()
    digest, states = content[:DIGEST_BYTES], memoryview(content)[DIGEST_BYTES:]
    if hashlib.sha256(states).digest() != digest:
        raise ValueError("it is damaged")
    with torch.serialization.safe_globals(HELD):
        return torch.load(io.BytesIO(states), map_location="cpu", weights_only=True)


def identity(hp: Hyperparameters, dataset: Dataset, model: torch.nn.Module, dtype: torch.dtype) -> str:
    """What a run is known by, in hexadecimal: all that its weights after a number of steps depend on.

    `model` as it starts, with matrix products in `dtype`. The images are known by their names.
    """
    phases = [(phase.name, phase.files, phase.labels) for phase in (dataset.train, dataset.validation)]
    values = {name: value for name, value in vars(hp).items() if name not in FREE}
    digest = hashlib.sha256(json.dumps([values, str(dtype), dataset.classes, phases]).encode())
    for tensor in model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
