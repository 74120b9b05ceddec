"""Checkpoints: everything that training needs to go on as if it had never stopped.

Each run has its own folder of checkpoints, named after its identity. Other runs may share the parent folder, such as
the trials of a tuning job: they are never mistaken for this run, and never touched.
"""

import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from classifier.training.data.folders import Dataset
from classifier.training.evaluate import Evaluation, Mistake
from classifier.training.history import EpochUnderWay, History
from classifier.training.hyperparameters import FREE, Hyperparameters
from classifier.training.parallel.processes import Group

logger = logging.getLogger(__name__)
# The newest, and the one before it in case the newest is damaged.
KEPT = 2
SECONDS_BETWEEN = 300
# The share of the time that saving may take at the ends of short epochs.
MOST_OF_THE_TIME = 0.1
DIGEST_BYTES = hashlib.sha256().digest_size
# Reading a checkpoint runs no code from it: it may hold tensors, plain values and these classes.
HELD = [
    *(History, EpochUnderWay, Evaluation, Mistake),
    *(np.ndarray, np.dtype, np.dtypes.Int64DType),
    np._core.multiarray._reconstruct,  # pyright: ignore[reportAttributeAccessIssue]
    *(np.dtypes.Float32DType, np.dtypes.Float64DType),
]


class Part(Protocol):
    """Something that has a state as PyTorch's modules and optimisers do."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class RandomState:
    """The state of torch's random number generators, on the CPU and on every GPU."""

    def state_dict(self) -> dict[str, Any]:
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        torch.set_rng_state(state["cpu"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])


class Checkpoints:
    """The checkpoints in `folder` of the run with this `identity`; the first process of the `group` writes them."""

    def __init__(self, folder: Path, identity: str, group: Group):
        self.folder = folder / f"run-{identity[:16]}"
        self.group = group
        self.saved_at = time.monotonic()
        self.cost = 0.0

    def is_due(self, epoch_ended: bool) -> bool:
        """Return whether it is time to save: at the end of an epoch, and every few minutes."""
        wait = self.cost / MOST_OF_THE_TIME if epoch_ended else SECONDS_BETWEEN
        return time.monotonic() - self.saved_at >= wait

    def save(self, step: int, parts: Mapping[str, Part]) -> None:
        """Write the state of `parts` after training step `step`. A failure to write it only logs a warning.

        1. Serialise the state, so that training can no longer change it. 2. Write it to a temporary file and flush
        that to the disk. 3. Rename the file, which makes it the newest. 4. Remove all but the newest two.
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
            write_file(aside, hashlib.sha256(buffer.getbuffer()).digest(), buffer.getbuffer())
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
        """Load the newest undamaged checkpoint into `parts`; return False if there is none."""
        states = self.group.broadcast(self._read_newest() if self.group.is_first else None)
        if states is None:
            return False
        for name, part in parts.items():
            part.load_state_dict(states[name])
        return True

    def _read_newest(self) -> dict[str, Any] | None:
        others = [path.name for path in sorted(self.folder.parent.glob("*")) if path != self.folder]
        if others:
            logger.info("%s: left alone, since other runs own them: %s", self.folder.parent, ", ".join(others))
        for path in self._newest_first():
            try:
                return read_checkpoint(path)
            except (OSError, ValueError) as error:
                logger.warning("%s is skipped: %s", path, error)
        return None

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def write_file(path: Path, *contents: bytes | memoryview) -> None:
    """Write `contents` to the new file `path` and flush it to the disk."""
    with path.open("wb") as file:
        for content in contents:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the states in the checkpoint `path`, on the CPU. Raises ValueError if it is damaged, and OSError."""
    content = path.read_bytes()
    digest, states = content[:DIGEST_BYTES], memoryview(content)[DIGEST_BYTES:]
    if hashlib.sha256(states).digest() != digest:
        raise ValueError("it is damaged")
    with torch.serialization.safe_globals(HELD):
        return torch.load(io.BytesIO(states), map_location="cpu", weights_only=True)


def identity(hp: Hyperparameters, dataset: Dataset, model: torch.nn.Module, dtype: torch.dtype) -> str:
    """Return the hash, in hexadecimal, of everything that a run's weights after a number of steps depend on.

    These are the hyperparameters that are not free, the `dtype` of matrix products, the names of the images, and the
    weights of `model` before the first step.
    """
    phases = [(phase.name, phase.files, phase.labels) for phase in (dataset.train, dataset.validation)]
    values = {name: value for name, value in vars(hp).items() if name not in FREE}
    digest = hashlib.sha256(json.dumps([values, str(dtype), dataset.classes, phases]).encode())
    for tensor in model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
