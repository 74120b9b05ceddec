"""The ASGI application: receives each request's body, and lets the WSGI application answer it in a thread.

A request has a thread only once it is whole. Requests for the model wait in one bounded queue for theirs; all others,
above all /ping, have spare threads.
"""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, NamedTuple

from classifier.serving import accesslog, refusals, wsgi
from classifier.serving.connection import Connection, State
from classifier.serving.pools import start_pool
from classifier.serving.refusals import FULL, Refusal
from classifier.serving.room import Place, Room
from classifier.serving.share import Share
from classifier.serving.wsgi import Response

# Threads for requests that are not for the model.
SPARE_THREADS = 8
# Of the machine: requests that wait for a thread. A small processor answers 12 a second: 512 take 43 s of SageMaker's
# 60 s.
QUEUE = 512
QUEUE_BYTES = 256 << 20


class Gone(Exception):
    """The client has left, or the connection has refused the rest of its request."""


class Refused(Exception):
    """The request is refused."""

    def __init__(self, refusal: Refusal):
        super().__init__(refusal.sentence)
        self.refusal = refusal


class Line(NamedTuple):
    """The room in which requests wait, and the threads that answer them."""

    room: Room
    threads: ThreadPoolExecutor


class Front:
    """Answers the requests of any number of connections."""

    def __init__(self, application: Callable, most_mb: int, share: Share):
        """Hand requests with bodies of up to `most_mb` MiB to a WSGI application, `share.threads` at a time."""
        self.application = application
        self.most_bytes = most_mb << 20
        self.too_large = refusals.too_large(most_mb)
        self.room = Room(share.threads, share.of(QUEUE), max(share.of(QUEUE_BYTES), 2 * self.most_bytes))
        self.spare_threads = start_pool(SPARE_THREADS, "spare")
        self.threads = start_pool(share.threads, "model")

    async def __call__(self, connection: Connection, scope: dict[str, Any], receive: Callable, send: Callable) -> None:
        """Answer one request, of which the head has arrived."""
        environ = wsgi.environ_of(scope)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        line = self.line_for(method, path)
        try:
            if line:
                response = await self._respond_in(line, connection, environ, receive)
            else:
                response = await self._respond(connection, environ, receive)
        except Gone:
            return
        trace = connection.trace
        trace.request = trace.request or f"{method} {path}"
        if path != "/ping" or response.status != HTTPStatus.OK:
            accesslog.log_request(trace, response.status, len(response.body))
        connection.enter(State.UNREAD)
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})

    def line_for(self, method: str, path: str) -> Line | None:
        """Return where a request waits for its thread; None if its body is not needed, and it is soon answered."""
        return Line(self.room, self.threads) if (method, path) == ("POST", "/invocations") else None

    async def _respond(self, connection: Connection, environ: dict[str, Any], receive: Callable) -> Response:
        """Return the answer to a request whose body is not needed."""
        await _discard(connection, receive)
        return await self._run(self.spare_threads, connection, environ, io.BytesIO())

    async def _answer_unread(self, connection: Connection, environ: dict[str, Any]) -> Response | None:
        """Return the answer to a client that asks, if the application gives it without reading the body; else None."""
        # A DELETE may take long, and needs no body.
        if not connection.is_asking or environ["REQUEST_METHOD"] != "POST":
            return None
        body = io.BytesIO()
        body.write(b"-")  # in its place
        response = await self._run(self.spare_threads, connection, dict(environ), body)
        if not body.tell():
            return response
        connection.trace.request = ""  # it is yet to be answered
        return None

    async def _respond_in(
        self, line: Line, connection: Connection, environ: dict[str, Any], receive: Callable
    ) -> Response:
        with Place(line.room) as place:
            try:
                if response := await self._answer_unread(connection, environ):
                    return response
                body = await self._receive(connection, environ, receive, place)
                if line.room.turns.locked() and not connection.queue():
                    raise Gone
                has_turn = await place.turn()
                connection.is_queued = False
                if not has_turn:
                    raise Refused(FULL)
                running = self._run(line.threads, connection, environ, body)
                place.leave_after(running)
                return await asyncio.shield(running)  # a thread goes on though the client has left
            except Refused as refused:
                refusal = refused.refusal
        await _discard(connection, receive)
        return Response(refusal.status, refusal.headers(), refusal.body())

    async def _receive(
        self, connection: Connection, environ: dict[str, Any], receive: Callable, place: Place
    ) -> io.BytesIO:
        """Return the body. Raises Refused if there is no room for it, or Gone if it will not arrive."""
        announced = int(environ["CONTENT_LENGTH"] or 0)
        if announced > self.most_bytes:
            raise Refused(self.too_large)
        if not place.room.has(announced):
            raise Refused(FULL)
        body, goes_on = io.BytesIO(), True
        while goes_on:
            chunk, goes_on = await _next_chunk(receive)
            if body.write(chunk) and body.tell() > self.most_bytes:
                raise Refused(self.too_large)
            if not place.grow(len(chunk)):
                raise Refused(FULL)
        return body

    def _run(
        self, threads: ThreadPoolExecutor, connection: Connection, environ: dict[str, Any], body: io.BytesIO
    ) -> asyncio.Future[Response]:
        """Return the future answer of the WSGI application."""

        def run() -> Response:
            accesslog.current.set(connection.trace)
            return wsgi.call(self.application, environ)

        wsgi.add_body(environ, body)
        return asyncio.get_running_loop().run_in_executor(threads, run)


async def _next_chunk(receive: Callable) -> tuple[bytes, bool]:
    """Return a part of a body, and whether it goes on. Raises Gone if it will not arrive."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message["body"], message["more_body"]


async def _discard(connection: Connection, receive: Callable) -> None:
    """Receive the rest of a body, so that the client reads the answer and not a reset connection.

    A client that asks keeps its body, and is closed.
    """
    while connection.is_arriving and not connection.is_asking:
        await _next_chunk(receive)
    if connection.is_closed:
        raise Gone
