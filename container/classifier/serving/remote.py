"""The model as a front sees it: in another process, which may end and be started again at any time."""

import itertools
import math
import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from classifier.serving.batcher import Expired, Outcome
from classifier.serving.slots import Query, Reply, Slots

# How soon a front notices that the model's process has ended.
CHECK_S = 0.2
# No query is with the model for longer.
LEFT_S = 90
# A process that has images of this front's and answers none of them for so long hangs, as if its GPU does.
SILENT_S = 5


class ModelGone(Exception):
    """The model's process has ended; the next one is being started."""


class ModelSilent(ModelGone):
    """The model's process does not answer, but may yet."""


class ModelFailed(Exception):
    """The model's process could not compute this image; its log says why."""


class _Sent(NamedTuple):
    outcome: Future
    query: Query
    since: float
    may_move: bool


class Rank(NamedTuple):
    """How well a model can take the next image: the least is the best."""

    is_away: bool
    is_silent: bool
    is_full: bool
    images: int


class RemoteModel:
    """The model behind one front's slots. submit() is a Batcher's."""

    def __init__(self, slots: Slots, front: int):
        """Use the slots of front number `front`, of which an earlier process may have left some with the model."""
        self.slots, self.front = slots, front
        self.others: Sequence[RemoteModel] = ()  # that may answer instead of it
        self._link = slots.links[front][0]
        self._lock = threading.Lock()
        self._sent: dict[int, _Sent] = {}
        # No other process of this front had the same ones.
        self._tickets = itertools.count(os.getpid() << 32)
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._heard = time.monotonic()
        # Slots that the model still has, of images that nobody here waits for, and since when.
        self._left = {slot: self._heard for slot in range(slots.number) if self._owner_of(slot) == slots.owner != 0}
        for slot in set(range(slots.number)) - self._left.keys():
            self._free.put(slot)
        threading.Thread(target=self._receive, name="replies", daemon=True).start()

    def is_ready(self) -> bool:
        """Return whether the model's process answers."""
        return self.slots.owner != 0

    @property
    def rank(self) -> Rank:
        """The rank of this model among several; a process's images are those of all fronts."""
        images = int(np.count_nonzero(self.slots.owners))
        return Rank(not self.is_ready(), self.is_silent, self._free.empty(), images)

    @property
    def is_silent(self) -> bool:
        """Whether the model's process seems to hang."""
        with self._lock:
            since = (*(sent.since for sent in self._sent.values()), *self._left.values())
        return max(min(since, default=math.inf), self._heard) < time.monotonic() - SILENT_S

    def submit(self, pixels: np.ndarray, deadline: float, may_move: bool = True, waits: bool = True) -> Future:
        """Queue one image and return the Future of its Outcome.

        It raises Expired if the turn is after `deadline`, a time of time.monotonic(), and ModelGone if the model's
        process ends before; if the image `may_move` also if the process is silent and another is not. If it does not
        wait for a slot, the turn is now.
        """
        outcome: Future = Future()
        try:
            slot = self._free.get(timeout=max(0.0, deadline - time.monotonic()) if waits else 0)
        except queue.Empty:
            outcome.set_exception(Expired())
            return outcome
        self.slots.pixels[self.front, slot] = pixels
        with self._lock:
            query = Query(slot, self.slots.owner, next(self._tickets), deadline)
            self.slots.owners[self.front, slot] = query.owner
            self._sent[query.ticket] = _Sent(outcome, query, time.monotonic(), may_move)
        if query.owner:
            self._link.ask(query)
        return outcome

    def _receive(self) -> None:
        while True:
            if reply := self._link.reply(CHECK_S):
                self._heard = time.monotonic()
                with self._lock:
                    sent = self._sent.pop(reply.ticket, None)
                if sent:
                    self._settle(sent, reply)
                elif reply.slot in self._left:
                    self._release(reply.slot)
            self._give_up()

    def _settle(self, sent: _Sent, reply: Reply) -> None:
        row = self.slots.rows[self.front, reply.slot].copy()
        self._release(reply.slot)
        if reply.expired or reply.failed:
            sent.outcome.set_exception(Expired() if reply.expired else ModelFailed())
        else:
            sent.outcome.set_result(Outcome(row, reply.queue_ms, reply.model_ms, reply.batch_size))

    def _give_up(self) -> None:
        """Fail what an owner has that has ended, or that is silent while another model answers."""
        moves = self.is_silent and any(other.is_ready() and not other.is_silent for other in self.others)
        with self._lock:
            owner = self.slots.owner
            lost = [sent for sent in self._sent.values() if sent.query.owner != owner or not owner]
            moved = [sent for sent in self._sent.values() if moves and sent.may_move and sent not in lost]
            for sent in lost + moved:
                del self._sent[sent.query.ticket]
            self._left |= {sent.query.slot: sent.since for sent in moved}
        for sent in lost:
            self._release(sent.query.slot)
            sent.outcome.set_exception(ModelGone())
        for sent in moved:
            sent.outcome.set_exception(ModelSilent())
        longest = time.monotonic() - LEFT_S
        for slot in [slot for slot, since in self._left.items() if since < longest or self._owner_of(slot) != owner]:
            self._release(slot)

    def _owner_of(self, slot: int) -> int:
        return int(self.slots.owners[self.front, slot])

    def _release(self, slot: int) -> None:
        with self._lock:
            self._left.pop(slot, None)
        self.slots.owners[self.front, slot] = 0
        self._free.put(slot)
