"""The models of one process: each is loaded once, lent to requests, and unloaded once they have done. Knows no HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from classifier import artifact, memory
from classifier.artifact import Artifact
from classifier.artifact_fields import WEIGHTS_FILE
from classifier.headroom import free_memory
from classifier.serving.model import Model, model_of
from classifier.serving.openvino_predictor import BATCH, choose_precision
from classifier.serving.predictor import load_on_cpu

# What a model takes with one thread: bytes for each byte of its weights' file, and for each pixel of a batch. Measured
# for images of 32 to 640 px, on an AMD EPYC.
MEMORY = {"int8": (0.65, 45), "bf16": (1.7, 45), "fp16": (1.7, 45), "fp32": (2.2, 90)}


class NotLoaded(Exception):
    """There is no model of this name."""


class AlreadyLoaded(Exception):
    """There is a model of this name, or it is being loaded."""


class NoMemory(Exception):
    """The model needs more memory than is left for models."""


@dataclass
class _Entry:
    """A model of which `users` requests make use; while it is None it is being loaded."""

    url: str
    model: Model | None = None
    size: int = 0
    users: int = 0


class Models:
    """The models that are loaded, by their names. Any thread may call."""

    def __init__(self, most_bytes: int, precision: str, cores: int):
        """Load models into up to `most_bytes` of memory, each to run in `precision` on all `cores`."""
        self.most_bytes = most_bytes
        self._precision, self._cores = precision, cores
        self._changed = threading.Condition()
        self._entries: dict[str, _Entry] = {}
        self._taken = 0
        # Compiling takes all cores, and the first call of any Engine must be over before the second.
        self._compiling = threading.Lock()

    def urls(self) -> dict[str, str]:
        """Return where the loaded models are from, in the order of their names."""
        with self._changed:
            return {name: entry.url for name, entry in sorted(self._entries.items()) if entry.model}

    def load(self, name: str, url: str) -> Model:
        """Load the artifact in the folder `url` as the model `name`, and return it.

        Raises AlreadyLoaded, NoMemory, or UserError if the artifact is at fault.
        """
        entry = _Entry(url)
        with self._changed:
            if name in self._entries:
                raise AlreadyLoaded
            self._entries[name] = entry
        try:
            folder = artifact.locate(Path(url))
            about = artifact.read(folder)
            self._take(entry, needed_bytes(folder, about, choose_precision(self._precision, about)))
            with self._compiling:
                predictor = load_on_cpu(folder, about, self._precision, self._cores, small=True)
            model = model_of(predictor)
        except BaseException as error:
            with self._changed:
                del self._entries[name]
            self._give_back(entry)
            if isinstance(error, MemoryError):
                raise NoMemory("loading it took more memory than there is") from error
            raise
        with self._changed:
            entry.model = model
        memory.trim()
        return model

    def unload(self, name: str) -> None:
        """Let no more requests use the model, wait for those that do, and free its memory. Raises NotLoaded."""
        with self._changed:
            entry = self._entry(name)
            del self._entries[name]
            self._changed.wait_for(lambda: not entry.users)
        if entry.model:
            entry.model.close()
            entry.model = None
        self._give_back(entry)
        memory.trim()

    @contextmanager
    def lend(self, name: str) -> Iterator[Model]:
        """Yield the model, which is not unloaded before the end of the block. Raises NotLoaded."""
        with self._changed:
            entry = self._entry(name)
            entry.users += 1
        try:
            assert entry.model
            yield entry.model
        finally:
            with self._changed:
                entry.users -= 1
                self._changed.notify_all()

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None or entry.model is None:
            raise NotLoaded
        return entry

    def _take(self, entry: _Entry, size: int) -> None:
        with self._changed:
            left = min(self.most_bytes - self._taken, free_memory())
            if size > left:
                need, most, free = (f"{amount / 1e6:,.0f} MB" for amount in (size, self.most_bytes, max(0, left)))
                raise NoMemory(f"it needs {need}, and of {most} for models {free} are left")
            entry.size = size
            self._taken += size

    def _give_back(self, entry: _Entry) -> None:
        with self._changed:
            self._taken -= entry.size
            entry.size = 0


def needed_bytes(folder: Path, about: Artifact, precision: str) -> int:
    """Return about how much memory the artifact takes once it is loaded in `precision`."""
    per_byte, per_pixel = MEMORY[precision]
    return int(per_byte * (folder / WEIGHTS_FILE).stat().st_size + per_pixel * BATCH * about.image_size**2)
