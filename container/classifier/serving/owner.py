"""The process that has the only copy of the model, and answers the images of all fronts."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np

from classifier.serving.batcher import Expired
from classifier.serving.slots import Link, Query, Reply, Slots

log = logging.getLogger(__name__)
# How soon it is noticed that the model hangs, also by nobody's next image: the fronts ask others then.
CHECK_S = 5


class Owner:
    """Hands what the fronts ask to a batcher, and its outcomes back."""

    def __init__(
        self, slots: Slots, submit: Callable[[np.ndarray, float], Future], check: Callable[[], None] = lambda: None
    ):
        """Answer by `submit`, a Batcher's, from now on, with a thread for each front that waits for its queries.

        `check` is the Batcher's too, and is called now and then.
        """
        self.slots, self.submit = slots, submit
        self.number = slots.begin()
        for front, (_, link) in enumerate(slots.links):
            threading.Thread(target=self._serve, args=(front, link), name=f"front-{front}", daemon=True).start()
        threading.Thread(target=self._keep_checking, args=(check,), name="check", daemon=True).start()

    def _serve(self, front: int, link: Link) -> None:
        while True:
            query = link.query()
            if query.owner != self.number:  # asked of a process before this one, and given up by the front
                continue
            outcome = self.submit(self.slots.pixels[front, query.slot], query.deadline)
            outcome.add_done_callback(partial(self._answer, front, link, query))

    def _keep_checking(self, check: Callable[[], None]) -> None:
        while True:
            time.sleep(CHECK_S)
            check()

    def _answer(self, front: int, link: Link, query: Query, outcome: Future) -> None:
        error, none = outcome.exception(), (query.slot, query.ticket, 0.0, 0.0, 0)
        if error is None:
            found = outcome.result()
            self.slots.rows[front, query.slot] = found.row
            reply = Reply(query.slot, query.ticket, found.queue_ms, found.model_ms, found.batch_size)
        elif isinstance(error, Expired):
            reply = Reply(*none, expired=True)
        else:
            log.error("the model failed", exc_info=error)
            reply = Reply(*none, failed=True)
        try:
            link.answer(reply)
        except BlockingIOError:  # a front that hangs; gunicorn replaces it
            log.error("front %d reads no replies", front)
