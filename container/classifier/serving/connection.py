"""A client's connection: gunicorn's, with limits on time and bytes, refusals in JSON, and time to read them."""

import contextlib
import re
import time
from enum import Enum
from functools import partial
from http import HTTPStatus
from math import inf
from typing import Any

from gunicorn.asgi import protocol as stubbed
from gunicorn.asgi.parser import InvalidChunkSize, ParseError
from gunicorn.http.errors import ParseException

from classifier.serving import accesslog, refusals
from classifier.serving.accesslog import Trace
from classifier.serving.parser import Parser
from classifier.serving.refusals import Refusal

# gunicorn limits each field of a head, and their number, but not the sum.
MOST_HEAD = 64 << 10
# A refused body up to this size is read to its end, so that the client reads the answer and not a reset connection.
MOST_RECEIVED = 128 << 20
# Each costs processor time: 25 MB in chunks of 512 bytes.
MOST_CHUNKS = 50_000
READ_BYTES = 64 << 10
# Of a head or of chunks, of which a byte may take 0.5 us, this much is parsed at once, and more in turns.
PIECE_BYTES = 1 << 10
# A chunk's size may be any number that others hold too.
MOST_SIZE = (1 << 63) - 1
# How a request begins. Of TLS or another protocol the end of a line may never come, for which gunicorn's parser waits.
METHOD = re.compile(rb"[A-Za-z][!-~]{,19}(?:[ \r\n]|\Z)")
TLS = b"\x16\x03"
EMPTY_LINES = re.compile(rb"(?:\r\n)+")

protocol: Any = stubbed  # by an older version of gunicorn
ASGIProtocol: Any = protocol.ASGIProtocol
protocol.PythonProtocol = Parser
protocol._CACHED_SERVER_HEADER = b""  # nobody needs to know the server's name
protocol._REASON_PHRASES |= {status.value: status.phrase for status in HTTPStatus}


class State(Enum):
    """What a connection waits for, and the seconds that it may take."""

    # At least as long as a router keeps an idle connection, else it may send a request on one that is just closing.
    # nginx, which is in front of the server in AWS's own sample, waits this long.
    IDLE = 75
    ARRIVING = 60
    ANSWERING = inf
    # The client is to read its answer.
    UNREAD = 10
    # The client has its answer, and is to close its end after we have closed ours.
    CLOSING = 1


class Connection(ASGIProtocol):
    """One client's requests, of which each is answered before the next one is parsed."""

    def __init__(self, worker):
        super().__init__(worker)
        self.app = partial(worker.asgi, self)
        self.trace = Trace()
        self.unparsed = bytearray()
        self.chunks = self.body_bytes = 0
        self.has_eof = self.was_read = self.is_queued = False
        self.enter(State.IDLE)

    @property
    def is_arriving(self) -> bool:
        """Whether a request is not whole."""
        return self.state is State.ARRIVING

    @property
    def is_closed(self) -> bool:
        """Whether no more will be sent."""
        return self._closed

    @property
    def is_asking(self) -> bool:
        """Whether the client waits for "100 Continue" before it sends its body."""
        return self._body_receiver is not None and self._body_receiver.expect_continue

    def is_waiting(self) -> bool:
        """Return whether the server waits for the client to send or to read; not so before it has looked for itself."""
        return self.was_read and self.state is not State.ANSWERING and not self._closed

    def is_new(self) -> bool:
        """Return whether the server waits for the client's first request, or has not looked for it yet."""
        return self.req_count <= 1 and (self.is_waiting() or not self.was_read)

    def enter(self, state: State) -> None:
        """Change the state, and so what the time runs for."""
        self.state, self.since = state, time.monotonic()
        if self in self.worker.connections:
            self.worker.connections.move_to_end(self)

    def is_late(self, now: float, patience: float) -> bool:
        """Return whether the client has let the server wait for too long, at most `patience` seconds."""
        return self.state is not State.ANSWERING and now - self.since > min(patience, self.state.value)

    def end(self) -> None:
        """Close the connection, with an answer if a request is arriving."""
        if self.is_arriving and not self.worker.is_crowded:
            self.refuse(refusals.SLOW)
        else:
            self._closed = True
            self.transport.abort()

    def refuse(self, refusal: Refusal) -> None:
        """Answer a request that is not whole, and close the connection once the client has read the answer."""
        if not self._closed:
            self._safe_write(refusal.message())
            if request := self._current_request:
                self.trace.request = f"{request.method} {request.path}"
            accesslog.log_request(self.trace, refusal.status, len(refusal.body()))
            self._close_transport()

    def queue(self) -> bool:
        """Let the request wait for a thread until its client ends its sending; return False if it has done so.

        Such a client has left, nearly always: one that still reads is answered where nobody waits.
        """
        self.is_queued = True
        self._read_on()
        return not self._closed

    def parse(self, seconds: float = 0) -> bool:
        """Parse some of what has arrived, of what costs time for this long, and return whether to go on."""
        end = time.monotonic() + seconds
        if self.state is State.IDLE and (empty := EMPTY_LINES.match(self.unparsed)):
            del self.unparsed[: empty.end()]
        while self._can_parse:
            self._parse_piece()
            if not self._body_left and time.monotonic() >= end:
                break
        self._read_on()
        return self._can_parse

    def connection_made(self, transport) -> None:
        transport.max_size = READ_BYTES
        super().connection_made(transport)
        # The loop's next pass finds what has arrived, and calls data_received; the one after it is later than that.
        loop = self.worker.loop
        loop.call_soon(loop.call_soon, self._note_first_reading)

    def connection_lost(self, exc) -> None:
        self.unparsed.clear()
        self.worker.forget(self)
        super().connection_lost(exc)

    def data_received(self, data) -> None:
        if not self._closed:
            self.unparsed += data
            self.worker.parse(self)

    def eof_received(self) -> bool:
        """Keep a connection whose client has sent all that it will, but may still read."""
        self.has_eof = True
        self._read_on()
        return not self._closed

    # gunicorn's steps, each with what this class adds to it.

    def _feed_callback_parser(self, data) -> bool:
        """Parse what came behind a request that is answered."""
        self.unparsed[:0] = data
        self._arm_keepalive_timer()
        return not self._closed

    def _on_body(self, chunk) -> None:
        self.chunks += not self._callback_parser._chunk_remaining
        self.body_bytes += len(chunk)
        if self.chunks > MOST_CHUNKS and self._current_request.chunked:
            raise InvalidChunkSize("its body has too many chunks; accepted: chunks of 1 kB and more")
        super()._on_body(chunk)

    def _on_message_complete(self) -> None:
        self.enter(State.ANSWERING)
        super()._on_message_complete()

    def _arm_keepalive_timer(self) -> None:
        """Wait for the next request, of which a part may have come; the worker keeps the time."""
        if self.state is State.UNREAD:
            self.enter(State.IDLE)
        self.worker.parse(self)

    def _is_websocket_upgrade(self, request) -> bool:
        return False

    def _send_error_response(self, status, message, extra_headers=()) -> None:
        self.refuse(refusals.FAILED)

    def _close_transport(self) -> None:
        """Close our end, and the rest when the client has done so: after a reset it would not read its answer."""
        if self._closed:
            return
        self._closed = True
        self.unparsed.clear()
        self.enter(State.UNREAD if self.transport.get_write_buffer_size() else State.CLOSING)
        self._request_ready.set()
        if self._body_receiver is not None:
            self._body_receiver.signal_disconnect()
        if self.has_eof or self.transport.is_closing() or self.worker.is_crowded:
            self.transport.close()
            return
        with contextlib.suppress(OSError):
            self.transport.write_eof()
        self.transport.resume_reading()

    def _note_first_reading(self) -> None:
        self.was_read = True

    @property
    def _can_parse(self) -> bool:
        if self.state is State.IDLE:
            return self.unparsed not in (b"", b"\r")  # an empty line's, which is of no request
        return self.is_arriving and bool(self.unparsed)

    @property
    def _body_left(self) -> int:
        """How many of the next bytes are of a body or a chunk of known length, which cost no time."""
        if not self.is_arriving or not self._current_request:
            return 0
        if self._current_request.chunked:
            return self._callback_parser._chunk_remaining
        return self._current_request.content_length - self.body_bytes

    def _parse_piece(self) -> None:
        size = self._body_left or PIECE_BYTES
        piece = bytes(self.unparsed[:size])
        del self.unparsed[:size]
        if self.state is State.IDLE:
            self.trace = Trace()
            self.chunks = self.body_bytes = 0
            self.enter(State.ARRIVING)
            if not METHOD.match(piece):
                self.refuse(refusals.HTTPS if piece.startswith(TLS) else refusals.NOT_HTTP)
                return
        self.trace.bytes_in += len(piece)
        try:
            self._callback_parser.feed(piece)
        except (ParseError, ParseException, ValueError) as error:
            self.refuse(refusals.invalid(error))
        if self.is_arriving:
            self._refuse_excess()

    def _refuse_excess(self) -> None:
        if not self._current_request:
            if self.trace.bytes_in > MOST_HEAD:
                self.refuse(refusals.LONG_HEAD)
        elif self._callback_parser._chunk_size > MOST_SIZE:
            self.refuse(refusals.invalid(InvalidChunkSize("a chunk's size is larger than any file")))
        elif self.trace.bytes_in + self._body_left > MOST_RECEIVED:
            self.refuse(self.worker.asgi.too_large)

    def _read_on(self) -> None:
        """Read more unless enough is there to parse or, if no more will come, end what waits for it."""
        if not self.has_eof:
            if len(self.unparsed) < READ_BYTES:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()
        elif self.is_queued:
            self.refuse(refusals.LEFT)
        elif self.is_arriving and not self.unparsed:
            self.refuse(refusals.CUT_OFF)
        elif self.state is State.IDLE and not self._can_parse:
            self._close_transport()
