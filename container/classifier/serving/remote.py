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


class ModelGone(Exception):
    """The model's process has ended; the next one is being started."""


class ModelFailed(Exception):
    """The model's process could not compute this image; its log says why."""


class _Sent(NamedTuple):
    outcome: Future
    query: Query


class RemoteModel:
    """The model behind one front's slots. submit() is a Batcher's."""

    def __init__(self, slots: Slots, front: int):
        """Use the slots of front number `front`, of which an earlier process may have left some with the model."""
        self.slots, self.front = slots, front
        self._link = slots.links[front][0]
        self._lock = threading.Lock()
        self._sent: dict[int, _Sent] = {}
        # No other process of this front had the same ones.
        self._tickets = itertools.count(os.getpid() << 32)
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._left = {slot for slot in range(slots.number) if self._owner_of(slot) == slots.owner != 0}
        self._left_until = time.monotonic() + LEFT_S
        for slot in set(range(slots.number)) - self._left:
            self._free.put(slot)
        threading.Thread(target=self._receive, name="replies", daemon=True).start()

    def is_ready(self) -> bool:
        """Return whether the model's process answers."""
        return self.slots.owner != 0

    @property
    def busyness(self) -> float:
        """How many images this front has with the model's process; infinitely many if it does not answer."""
        return len(self._sent) if self.is_ready() else math.inf

    def submit(self, pixels: np.ndarray, deadline: float) -> Future:
        """Queue one image and return the Future of its Outcome.

        It raises Expired if the turn is after `deadline`, a time of time.monotonic(), and ModelGone if the model's
        process ends before.
        """
        outcome: Future = Future()
        try:
            slot = self._free.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            outcome.set_exception(Expired())
            return outcome
        self.slots.pixels[self.front, slot] = pixels
        with self._lock:
            query = Query(slot, self.slots.owner, next(self._tickets), deadline)
            self.slots.owners[self.front, slot] = query.owner
            self._sent[query.ticket] = _Sent(outcome, query)
        if query.owner:
            self._link.ask(query)
        return outcome

    def _receive(self) -> None:
        while True:
            reply = self._link.reply(CHECK_S)
            if reply and (sent := self._taken(reply.ticket)):
                self._settle(sent, reply)
            elif reply and reply.slot in self._left:
                self._release(reply.slot)
            self._give_up()

    def _taken(self, ticket: int) -> _Sent | None:
        with self._lock:
            return self._sent.pop(ticket, None)

    def _settle(self, sent: _Sent, reply: Reply) -> None:
        row = self.slots.rows[self.front, reply.slot].copy()
        self._release(reply.slot)
        if reply.expired or reply.failed:
            sent.outcome.set_exception(Expired() if reply.expired else ModelFailed())
        else:
            sent.outcome.set_result(Outcome(row, reply.queue_ms, reply.model_ms, reply.batch_size))

    def _give_up(self) -> None:
        """Fail what an owner has that has ended."""
        with self._lock:
            owner = self.slots.owner
            lost = [sent for sent in self._sent.values() if sent.query.owner != owner or not owner]
            for sent in lost:
                del self._sent[sent.query.ticket]
        for sent in lost:
            self._release(sent.query.slot)
            sent.outcome.set_exception(ModelGone())
        are_late = time.monotonic() > self._left_until
        for slot in [slot for slot in self._left if are_late or self._owner_of(slot) != owner]:
            self._release(slot)

    def _owner_of(self, slot: int) -> int:
        return int(self.slots.owners[self.front, slot])

    def _release(self, slot: int) -> None:
        self._left.discard(slot)
        self.slots.owners[self.front, slot] = 0
        self._free.put(slot)


class RemoteModels:
    """The models of several GPUs behind one front, as one. submit() is a Batcher's."""

    def __init__(self, slots: Sequence[Slots], front: int):
        """Use the slots of front number `front` in those of each model's process."""
        self._models = [RemoteModel(one, front) for one in slots]

    def is_ready(self) -> bool:
        """Return whether any process of the model answers."""
        return any(model.is_ready() for model in self._models)

    def submit(self, pixels: np.ndarray, deadline: float) -> Future:
        """Queue one image with the process that has fewest of this front's, as RemoteModel.submit()."""
        return min(self._models, key=lambda model: model.busyness).submit(pixels, deadline)
