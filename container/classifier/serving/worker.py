"""gunicorn's worker for ASGI applications: it keeps the connections in order, and answers each when it is told to stop.

requirements/image.in pins gunicorn, since Worker and Connection override methods that other versions may change.
"""

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections import OrderedDict
from math import inf
from pathlib import Path
from typing import Any

from gunicorn.workers import gasgi

from classifier.serving.connection import Connection

# Connections that the kernel accepts ahead of the worker. asyncio's own 100 would reset those of a burst.
BACKLOG = 2048
CHECK_S = 0.5
# A turn of parsing, and the pause before the next: a loop that never sleeps keeps Python's lock from all threads.
TURN_S, PAUSE_S = 0.002, 0.001
# Connections beyond the limit that have the time to read why they are closed.
MOST_CLOSING = 100
# After SIGTERM, a connection has this long to send what it has begun; requests in the queue are answered for this long
# and then refused; and what is left is ended before gunicorn's graceful_timeout, after which SIGKILL comes.
ARRIVAL_WHEN_STOPPING_S = 3
WORK_WHEN_STOPPING_S = 20
STOP_S = 23
# The stubs of gunicorn are of an older version.
ASGIWorker: Any = gasgi.ASGIWorker


class Worker(ASGIWorker):
    """Serves server.Server's front, which gunicorn loads as `asgi`, on an event loop."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Those that have been in their state for the longest time first.
        self.connections: OrderedDict[Connection, None] = OrderedDict()
        self.parsing: OrderedDict[Connection, None] = OrderedDict()

    def init_process(self) -> None:
        # Both processes hold torch, so the kernel might kill the master if a request needs more memory than is left,
        # and the container would end without a log line. A killed worker is replaced, and the master logs why.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        # Many systems allow a process 1,024 descriptors until it asks for more, and a burst of connections takes them.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C reaches all processes of a terminal; the master then stops this one with SIGTERM.
        self.loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def welcome(self, connection: Connection) -> None:
        """Take in a new connection and, if there are too many, end the one that has kept the server waiting longest.

        Those that had an answer before are spared as long as there are others: a router keeps them.
        """
        if len(self.connections) >= self.worker_connections:
            for is_dispensable in (Connection.is_new, Connection.is_waiting):
                if longest := next(filter(is_dispensable, self.connections), None):
                    longest.end()
                    break
        self.connections[connection] = None

    @property
    def is_crowded(self) -> bool:
        """Whether too many connections are open to wait for clients that are to close theirs."""
        return len(self.connections) > self.worker_connections + MOST_CLOSING

    def parse(self, connection: Connection) -> None:
        """Let a connection parse what has arrived, in turns with others and all else if it takes time."""
        if connection not in self.parsing and connection.parse():
            self._parse_later(connection)

    def end_late(self, now: float, patience: float) -> None:
        """End the connections that keep the server waiting for too long."""
        for connection in list(self.connections):
            if connection.is_late(now, patience):
                connection.end()

    def _parse_later(self, connection: Connection) -> None:
        if not self.parsing:
            self.loop.call_later(PAUSE_S, self._parse_next)
        self.parsing[connection] = None

    def _parse_next(self) -> None:
        connection, _ = self.parsing.popitem(last=False)
        goes_on = connection.parse(TURN_S)
        if self.parsing:
            self.loop.call_later(PAUSE_S, self._parse_next)
        if goes_on:
            self._parse_later(connection)

    async def _serve(self) -> None:
        """Serve until SIGTERM or the master's end; gunicorn runs this."""
        for listener in self.sockets:
            # asyncio would make the kernel's queue shorter than it is.
            server = await self.loop.create_server(lambda: Connection(self), sock=listener.sock, backlog=BACKLOG)
            self.servers.append(server)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            self.end_late(time.monotonic(), inf)
            await asyncio.sleep(CHECK_S)
        await self._stop()

    async def _stop(self) -> None:
        self.alive = False  # no answer keeps its connection any more
        start = time.monotonic()
        for listener, server in zip(self.sockets, self.servers, strict=True):
            await self._accept_rest(listener.sock)
            server.close()
        await asyncio.sleep(CHECK_S / 5)  # asyncio may be about to take in what it has accepted
        while self.connections and (now := time.monotonic()) < start + STOP_S:
            self.notify()
            self.end_late(now, ARRIVAL_WHEN_STOPPING_S if now - start > ARRIVAL_WHEN_STOPPING_S else inf)
            if now > start + WORK_WHEN_STOPPING_S:
                self.asgi.room.close()
            await asyncio.sleep(CHECK_S / 5)

    async def _accept_rest(self, listener) -> None:
        """Take the connections that the kernel has accepted already, which it would reset."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                await self.loop.connect_accepted_socket(lambda: Connection(self), client)
