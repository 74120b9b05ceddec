"""How a worker takes in connections."""

import asyncio
import logging
import os
import socket
from contextlib import ExitStack, closing

from gunicorn.config import Config

from classifier.serving.fronts import Fronts
from classifier.serving.worker import Worker

CLIENTS = 5


def test_a_connection_counts_once_while_it_is_taken_in(monkeypatch):
    """Counted twice, half the limit would close connections of a burst without an answer."""
    counts = []
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        worker = Worker(1, os.getppid(), [], None, 30, Config(), logging.getLogger())
        stack.enter_context(closing(worker.tmp))
        worker.seat, worker.asgi = Fronts(1).take(), lambda *_: None
        monkeypatch.setattr(worker.seat, "count", counts.append)
        for _ in range(CLIENTS):
            stack.enter_context(socket.create_connection(listener.getsockname()))

        async def take_in() -> None:
            worker.loop = asyncio.get_running_loop()
            worker._take_or_leave(listener)
            for _ in range(10):
                await asyncio.sleep(0)
            worker.loop.remove_reader(listener)
            for connection in list(worker.connections):
                connection.end()
            await asyncio.sleep(0)

        asyncio.run(take_in())
    assert counts == [1, 2, 3, 4, 5, 4, 3, 2, 1, 0]
