"""gunicorn's worker for ASGI applications: it keeps the connections in order, and answers each when it is told to stop.

requirements/image.in pins gunicorn, since Worker and Connection override methods that other versions may change.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import OrderedDict
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

from gunicorn.workers import gasgi

from classifier.serving.connection import Connection
from classifier.serving.fronts import Seat
from classifier.serving.open_files import MOST_CLOSING, fewer_connections
from classifier.serving.pools import exit_without_threads

# Connections that the kernel accepts ahead of the worker. Fewer would reset those of a burst.
BACKLOG = 2048
CHECK_S = 0.5
# A new connection is left to another process for this long, and so often.
LEAVE_S, LEAVES = 0.005, 10
# A turn of parsing, and the pause before the next: a loop that never sleeps keeps Python's lock from all threads.
TURN_S, PAUSE_S = 0.002, 0.001
# What a new connection has sent may be on its way for this long; before that it is not ended for another one.
GRACE_S = 0.25
# Which are ended first.
WAITING = (Connection.is_new, Connection.is_waiting)
# After SIGTERM, a connection has this long to send what it has begun; requests in the queue are answered for this long
# and then refused; and what is left is ended before gunicorn's graceful_timeout, after which SIGKILL comes.
ARRIVAL_WHEN_STOPPING_S = 3
WORK_WHEN_STOPPING_S = 20
STOP_S = 23
# The stubs of gunicorn are of an older version.
ASGIWorker: Any = gasgi.ASGIWorker


class Worker(ASGIWorker):
    """Serves server.Server's front, which gunicorn loads as `asgi`, on an event loop; without one, keeps the model."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Those that have been in their state for the longest time first.
        self.connections: OrderedDict[Connection, None] = OrderedDict()
        self.parsing: OrderedDict[Connection, None] = OrderedDict()
        self.tasks: set[asyncio.Task] = set()  # the event loop alone would forget them
        self.seat: Seat  # set by the master

    def init_process(self) -> None:
        # If a request needs more memory than is left, the kernel might kill the master, and the container would end
        # without a log line. A killed worker is replaced, and the master logs why.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        self.worker_connections = fewer_connections(self.worker_connections)
        super().init_process()

    def load_wsgi(self) -> None:
        try:
            super().load_wsgi()
        except RuntimeError as error:
            exit_without_threads(error)
            raise

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C and a terminal's end reach all its processes; the master then stops this one with SIGTERM.
        self.loop.remove_signal_handler(signal.SIGINT)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def forget(self, connection: Connection) -> None:
        """Let go of a connection that is closed."""
        self.connections.pop(connection, None)
        self._count()

    def has_room(self) -> bool:
        """Return whether a new connection may come; for it, the one that has kept the server waiting longest may end.

        Those that had an answer before are spared as long as there are others: a router keeps them.
        """
        if len(self.connections) < self.worker_connections:
            return True
        longest = next(chain.from_iterable(filter(waits, self.connections) for waits in WAITING), None)
        if not longest:
            return not self.is_crowded
        is_silent = longest.was_read and time.monotonic() - longest.since > GRACE_S
        if is_silent:
            longest.end()
        return is_silent

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
        if not self.asgi:
            await self._keep_model()
            return
        for listener in self.sockets:
            self._take_or_leave(listener.sock)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            self.end_late(time.monotonic(), inf)
            await asyncio.sleep(CHECK_S)
        await self._stop()

    async def _keep_model(self) -> None:
        """Live as long as a front may ask the model."""
        end = inf
        while time.monotonic() < end and not (end < inf and self.seat.fronts.is_empty):
            self.notify()
            await asyncio.sleep(CHECK_S / 5)
            if end == inf and not (self.alive and self.ppid == os.getppid()):
                end = time.monotonic() + STOP_S

    async def _stop(self) -> None:
        self.alive = False  # no answer keeps its connection any more
        start = time.monotonic()
        for listener in self.sockets:
            self.loop.remove_reader(listener.sock)
            # The kernel would reset those that it has accepted already.
            with contextlib.suppress(OSError):
                while self._accept(listener.sock):
                    pass
            listener.sock.close()
        while self.connections and (now := time.monotonic()) < start + STOP_S:
            self.notify()
            self.end_late(now, ARRIVAL_WHEN_STOPPING_S if now - start > ARRIVAL_WHEN_STOPPING_S else inf)
            if now > start + WORK_WHEN_STOPPING_S:
                self.asgi.room.close()
            await asyncio.sleep(CHECK_S / 5)

    def _take_or_leave(self, listener: socket.socket, leaves: int = LEAVES) -> None:
        """Take new connections; or leave them to another process, but not for long, since that one may hang.

        All that wait are taken at once, so that those that break off are noticed before they are answered.
        """
        if not self.alive:
            return
        try:
            for _ in range(BACKLOG):
                if not self.has_room():
                    self._pause(listener, LEAVE_S, LEAVES)
                    return
                if not self.seat.is_next() and (leaves or not self.seat.can_answer()):
                    self._pause(listener, LEAVE_S, max(0, leaves - 1))
                    return
                leaves = LEAVES
                if not self._accept(listener):
                    break
        except OSError:  # no descriptor is left, for example: asking again at once would keep the loop busy
            self._pause(listener, CHECK_S, LEAVES)
            return
        self.loop.add_reader(listener, self._take_or_leave, listener)

    def _pause(self, listener: socket.socket, seconds: float, leaves: int) -> None:
        self.loop.remove_reader(listener)
        self.loop.call_later(seconds, self._take_or_leave, listener, leaves)

    def _accept(self, listener: socket.socket) -> bool:
        """Take a connection, and return False if none waits. Raises OSError if it cannot be had."""
        try:
            client, _ = listener.accept()
        except BlockingIOError:  # another process was quicker, for example
            return False
        connection = Connection(self)
        self.connections[connection] = None
        self._count()
        task = self.loop.create_task(self._take_in(connection, client))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    async def _take_in(self, connection: Connection, client: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: connection, client)
        except OSError:  # the client has left, for example
            client.close()
            self.forget(connection)

    def _count(self) -> None:
        self.seat.count(len(self.connections))
