"""The models of one process: each is loaded once, lent to requests, and unloaded once they have done. Knows no HTTP.

A journal has them too, so that they are loaded again by the process that follows one that was killed; but only as they
were, since no client has asked for what has taken their folder's place.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from classifier import artifact, memory
from classifier.artifact import Artifact
from classifier.artifact_fields import WEIGHTS_FILE
from classifier.errors import UserError
from classifier.headroom import free_memory
from classifier.serving.journal import Journal, Planned
from classifier.serving.model import Model, model_of
from classifier.serving.openvino_predictor import BATCH, choose_precision
from classifier.serving.predictor import load_on_cpu
from classifier.serving.renamed import warn_of_renamed
from classifier.words import plural

log = logging.getLogger(__name__)

# Processes that may end while they load a model, before it is left out: it may be what ends them.
MOST_CUTS = 2
# What a model takes with one thread: bytes for each byte of its weights' file, and for each pixel of a batch. Measured
# for images of 32 to 640 px, on an AMD EPYC.
MEMORY = {"int8": (0.65, 45), "bf16": (1.7, 45), "fp16": (1.7, 45), "fp32": (2.2, 90)}


class NotLoaded(Exception):
    """There is no model of this name."""


class NotYetLoaded(Exception):
    """The model is being loaded, or will be."""


class AlreadyLoaded(Exception):
    """There is a model of this name, or it is being loaded."""


class NoMemory(Exception):
    """The model needs more memory than is left for models."""


@dataclass
class _Entry:
    """A model of which `users` requests make use; while it is None it is being loaded, or waits for that.

    `cuts` says how many processes have ended while they loaded it, and `digest` what was loaded in one of them.
    """

    url: str
    digest: str = ""
    model: Model | None = None
    size: int = 0
    users: int = 0
    cuts: int = 0
    waits: bool = False

    @property
    def planned(self) -> Planned:
        """What the process after this one is to know."""
        return Planned(self.url, 0 if self.model else self.cuts + (not self.waits), self.digest)


class Models:
    """The models that are loaded, by their names. Any thread may call."""

    def __init__(self, most_bytes: int, precision: str, cores: int, journal: Journal):
        """Load models into up to `most_bytes` of memory, each to run in `precision` on all `cores`.

        Those in the journal wait for load_again().
        """
        self.most_bytes = most_bytes
        self._precision, self._cores = precision, cores
        self._changed = threading.Condition()
        self._journal = journal
        self._entries = {
            name: _Entry(url, digest, cuts=cuts, waits=True) for name, (url, cuts, digest) in journal.read().items()
        }
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
        return self._fill(name, entry)

    def load_again(self) -> None:
        """Load the models that wait and are as they were; last those which a process before did not survive."""
        with self._changed:
            waiting = sorted(self._entries.items(), key=lambda item: item[1].cuts)
        for name, entry in waiting:
            with self._changed:
                if self._entries.get(name) is not entry:  # unloaded meanwhile
                    continue
                entry.waits = False
                if entry.cuts >= MOST_CUTS:
                    log.error("%s is not loaded again: %s ended loading it", name, plural(entry.cuts, "process"))
                    del self._entries[name]
                    continue
            try:
                self._fill(name, entry)
                log.info("loaded %s again", name)
            except (UserError, NoMemory) as error:
                log.error("%s could not be loaded again: %s", name, error)
            except Exception:
                log.exception("%s could not be loaded again", name)
        self._note()

    def _fill(self, name: str, entry: _Entry) -> Model:
        """Load the entry's model. Raises what load() does."""
        self._note()
        try:
            folder = artifact.locate(Path(entry.url))
            about = artifact.read(folder)
            if entry.digest not in ("", about.digest):
                raise UserError(f"{folder} has another artifact than was loaded from it; POST /models loads that one")
            warn_of_renamed(folder, about)
            self._take(entry, needed_bytes(folder, about, choose_precision(self._precision, about)))
            with self._compiling:
                predictor = load_on_cpu(folder, about, self._precision, self._cores, small=True)
            model = model_of(predictor)
        except BaseException as error:
            with self._changed:
                del self._entries[name]
                self._changed.notify_all()
            self._give_back(entry)
            self._note()
            if isinstance(error, MemoryError):
                raise NoMemory("loading it took more memory than there is") from error
            raise
        with self._changed:
            entry.model, entry.digest = model, about.digest
            self._changed.notify_all()
        self._note()
        memory.trim()
        return model

    def unload(self, name: str) -> None:
        """Let no more requests use the model, wait for those that do, and free its memory. Raises NotLoaded.

        One that is being loaded is unloaded once it is there.
        """
        with self._changed:
            entry = self._entry(name)
            self._changed.wait_for(lambda: entry.model or entry.waits or self._entries.get(name) is not entry)
            if self._entries.get(name) is not entry:
                raise NotLoaded
            del self._entries[name]
            self._changed.wait_for(lambda: not entry.users)
        self._note()
        if entry.model:
            entry.model.close()
            entry.model = None
        self._give_back(entry)
        memory.trim()

    @contextmanager
    def lend(self, name: str) -> Iterator[Model]:
        """Yield the model, which is not unloaded before the end of the block. Raises NotLoaded or NotYetLoaded."""
        with self._changed:
            entry = self._entry(name)
            if not entry.model:
                raise NotYetLoaded
            entry.users += 1
        try:
            yield entry.model
        finally:
            with self._changed:
                entry.users -= 1
                self._changed.notify_all()

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise NotLoaded
        return entry

    def _note(self) -> None:
        self._journal.write(self._planned)

    def _planned(self) -> dict[str, Planned]:
        with self._changed:
            return {name: entry.planned for name, entry in self._entries.items()}

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
