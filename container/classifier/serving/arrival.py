"""Collects a request's bytes until it is whole, so that no thread waits for a slow client. Knows no sockets.

This only finds where a request ends. gunicorn's parser gets the same bytes and decides whether they are valid; bytes
that make no sense here count as a whole request, so that the parser refuses them.
"""

import re
import time

# gunicorn accepts less.
MOST_HEAD = 64 << 10
# A refused body up to this size is read to its end, so that the client reads the answer and not a reset connection.
MOST_DISCARDED = 128 << 20
# Each chunk has two lines: 25 MB in chunks of 512 bytes.
MOST_LINES = 100_000
_END_OF_HEAD = b"\r\n\r\n"
# A chunk's own bytes hardly ever contain this; if they do, the parser misses the rest and refuses the request.
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:", re.IGNORECASE | re.MULTILINE)
_EXPECT = re.compile(rb"^expect:[^\n]*\n", re.IGNORECASE | re.MULTILINE)


class Arrival:
    """The bytes of one request, and of the next one if a client does not wait for answers."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.received = 0
        self.start = time.monotonic()
        # Of head and body in bytes; 0 until the head is whole.
        self.length = 0
        self.has_head = False
        self.is_chunked = False
        self.chunks_ended = False
        self.expects_continue = False
        self.is_refused = False

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        if not self.received:
            self.start = time.monotonic()
        self.received += len(data)
        unseen = max(0, len(self.data) - len(_END_OF_CHUNKS))
        self.data += data
        if not self.has_head:
            self._read_head()
            unseen = 0
        if self.is_chunked and self.data.find(_END_OF_CHUNKS, unseen) >= 0:
            self.chunks_ended = True
        if self.is_refused:
            del self.data[: -len(_END_OF_CHUNKS)]

    def refuse(self) -> None:
        """Keep no more of this request's bytes, but still find its end."""
        self.is_refused = True
        self.feed(b"")

    @property
    def is_whole(self) -> bool:
        """Whether the parser would not have to wait for more bytes."""
        if not self.has_head:
            return self.received > MOST_HEAD
        if self.is_chunked:
            return self.chunks_ended
        return self.received >= self.length

    @property
    def has_tiny_chunks(self) -> bool:
        """Whether the request has so many chunks that joining them would take seconds."""
        return self.is_chunked and self.data.count(b"\r\n") > MOST_LINES

    @property
    def is_endless(self) -> bool:
        """Whether the request is too long to wait for its end."""
        return self.size > MOST_DISCARDED

    @property
    def size(self) -> int:
        """The request's length in bytes: the received or the announced one, whichever is larger."""
        return max(self.length, self.received)

    @property
    def is_work(self) -> bool:
        """Whether the request is for the model; all others are answered at once."""
        return self.data.startswith(b"POST ")

    def _read_head(self) -> None:
        head, separator, body = self.data.partition(_END_OF_HEAD)
        if not separator:
            return
        head += b"\r\n"
        if _EXPECT.search(head):  # removed, since the receiving worker answers it before gunicorn sees the request
            self.expects_continue = True
            head = bytearray(_EXPECT.sub(b"", head))  # which returns bytes, and those cannot be shortened
            self.data = head + b"\r\n" + body
            self.received = len(self.data)
        end = len(head) + 2
        lengths = _LENGTH.findall(head)
        self.is_chunked = bool(_CHUNKED.search(head))
        self.length = end + (int(lengths[0]) if len(lengths) == 1 and not self.is_chunked else 0)
        self.has_head = True
