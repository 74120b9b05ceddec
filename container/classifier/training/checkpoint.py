"""Checkpoints: everything that training needs to go on as if it had never stopped.

Each run has its own folder of checkpoints, named after its identity. Other runs may share the parent folder, such as
the trials of a tuning job: they are never mistaken for this run, and never touched.
"""

import copy
import hashlib
import io
import json
import logging
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from classifier.files import partial_of, write_file
from classifier.training.data.contents import hash_images
from classifier.training.data.folders import Dataset
from classifier.training.evaluate import Evaluation, Mistake
from classifier.training.familiarity import Familiarity
from classifier.training.history import EpochUnderWay, History
from classifier.training.hyperparameters import FREE, Hyperparameters
from classifier.training.parallel.processes import Group
from classifier.unlikeness import Measure

logger = logging.getLogger(__name__)
# The newest, and the one before it in case the newest is damaged.
KEPT = 2
SECONDS_BETWEEN = 300
# The share of the time that saving may take at the ends of short epochs.
MOST_OF_THE_TIME = 0.1
# What a checkpoint names the run by: a copy in another run's folder is not that run's.
RUN = "run"
DIGEST_BYTES = hashlib.sha256().digest_size
# Reading a checkpoint runs no code from it: it may hold tensors, plain values and these classes.
HELD = [
    *(History, EpochUnderWay, Evaluation, Mistake, Familiarity, Measure),
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
        self.identity = identity
        self.group = group
        self.saved_at = time.monotonic()
        self.cost = 0.0

    def is_due(self, epoch_ended: bool) -> bool:
        """Return whether it is time to save: at the end of an epoch, and every few minutes."""
        wait = self.cost / MOST_OF_THE_TIME if epoch_ended else SECONDS_BETWEEN
        return time.monotonic() - self.saved_at >= wait

    def save(self, step: int, parts: Mapping[str, Part]) -> None:
        """Write the state of `parts` after training step `step`. A failure to write it only logs a warning.

        1. Serialise the state, so that training can no longer change it. 2. Write it to a temporary file, flush that
        to the disk, and rename it, which makes it the newest. 3. Remove all but the newest two.
        """
        if not self.group.is_first:
            return
        started = time.monotonic()
        buffer = io.BytesIO()
        torch.save({RUN: self.identity} | {name: part.state_dict() for name, part in parts.items()}, buffer)
        path = self.folder / f"step-{step:010}.pt"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_file(path, hashlib.sha256(buffer.getbuffer()).digest(), buffer.getbuffer())
            for older in self._newest_first()[KEPT:]:
                older.unlink()
        except OSError as error:
            logger.warning("no checkpoint of step %d: %s: %s", step, error.filename or path, error.strerror)
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def load(self, parts: Mapping[str, Part]) -> bool:
        """Load the newest checkpoint that can be loaded into `parts`; return False if there is none.

        One that cannot leaves `parts` as they were.
        """
        if self.group.is_first:
            self._tidy()
        for path in self.group.broadcast(self._newest_first()):
            states = self.group.broadcast(self._try_to_read(path) if self.group.is_first else None)
            if states is not None and self._try_to_load(path, states, parts):
                return True
        return False

    def _tidy(self) -> None:
        # Beside them SageMaker puts files of its own, such as x.sagemaker-uploaded.
        runs = (path for path in sorted(self.folder.parent.glob("run-*")) if path.is_dir())
        others = [path.name for path in runs if path != self.folder]
        if others:
            logger.info(
                "%s: left alone, since runs with other images, hyperparameters or weights own them: %s",
                self.folder.parent,
                ", ".join(others),
            )
        for cut_off in self.folder.glob(partial_of(self.folder / "*").name):
            cut_off.unlink()

    def _try_to_read(self, path: Path) -> dict[str, Any] | None:
        try:
            states = read_checkpoint(path)
            if states.pop(RUN, None) != self.identity:
                raise ValueError("it is another run's")
            return states
        except (OSError, ValueError) as error:
            logger.warning("%s is skipped: %s", path, error)
            return None

    def _try_to_load(self, path: Path, states: Mapping[str, Any], parts: Mapping[str, Part]) -> bool:
        """Load `states` into `parts` in every process, or in none."""
        before: dict[str, Any] = {}
        fault = None
        try:
            if states.keys() != parts.keys():
                raise ValueError(f"it has {sorted(states)}, not {sorted(parts)}")
            for name, part in parts.items():
                before[name] = copy.deepcopy(part.state_dict())
                part.load_state_dict(states[name])
        except Exception as error:  # a part may raise anything for a state that is not its own
            fault = f"it does not fit this run: {type(error).__name__}: {error}"
        if not self.group.any(fault is not None):
            return True
        logger.warning("%s is skipped: %s", path, fault or "it does not fit another process")
        for name, state in before.items():
            parts[name].load_state_dict(state)
        return False

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the states in the checkpoint `path`, on the CPU. Raises ValueError if it is damaged, and OSError."""
    if not path.is_file():
        raise ValueError("it is not a regular file")
    content = path.read_bytes()
    digest, states = content[:DIGEST_BYTES], memoryview(content)[DIGEST_BYTES:]
    if hashlib.sha256(states).digest() != digest:
        raise ValueError("it is damaged")
    try:
        with torch.serialization.safe_globals(HELD), warnings.catch_warnings(action="ignore"):
            held = torch.load(io.BytesIO(states), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises almost anything, and its words advise to switch off its check
        raise ValueError(f"torch cannot read it ({type(error).__name__})") from error
    if not isinstance(held, dict):
        raise ValueError(f"it holds a {type(held).__name__}, not a state of each part")
    return held


def identity(hp: Hyperparameters, dataset: Dataset, model: torch.nn.Module, dtype: torch.dtype) -> str:
    """Return the hash, in hexadecimal, of everything that a run's weights after a number of steps depend on.

    These are the hyperparameters that are not free, the `dtype` of matrix products, the images, and the weights of
    `model` before the first step.
    """
    images = hash_images(dataset.classes, (dataset.train, dataset.validation))
    values = {name: value for name, value in vars(hp).items() if name not in FREE}
    digest = hashlib.sha256(json.dumps([values, str(dtype), images]).encode())
    for tensor in model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
