"""A request as its bytes arrive, until it is whole: no thread waits for a slow client. Knows no sockets.

This finds only where a request ends. Whether it is valid is for gunicorn's parser to say, which gets the same bytes;
what cannot be made sense of counts as whole, so that the parser refuses it.
"""

import re
import time

# gunicorn accepts less.
MOST_HEAD = 64 << 10
# A refused body up to this is read to its end, so that the client reads why instead of a reset connection.
MOST_DISCARDED = 128 << 20
# Two for each chunk: 25 MB in chunks of 512 bytes.
MOST_LINES = 100_000
_END_OF_HEAD = b"\r\n\r\n"
# In the bytes of a chunk itself this is as good as impossible; the parser would miss the rest then, and refuse it.
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:", re.IGNORECASE | re.MULTILINE)
_EXPECT = re.compile(rb"^expect:[^\n]*\n", re.IGNORECASE | re.MULTILINE)


class Arrival:
    """The bytes of one request; of the next one too, where a client does not wait for answers."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.received = 0
        self.start = time.monotonic()
        # In bytes, head and body; 0 before the head is there.
        self.length = 0
        self.has_head = False
        self.is_chunked = False
        self.chunks_ended = False
        self.expects_continue = False
        self.is_refused = False

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
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
        """Keep nothing more of this request, but go on to find its end."""
        self.is_refused = True
        self.feed(b"")

    @property
    def is_whole(self) -> bool:
        """Whether the parser will not have to wait for more."""
        if not self.has_head:
            return self.received > MOST_HEAD
        if self.is_chunked:
            return self.chunks_ended
        return self.received >= self.length

    @property
    def has_tiny_chunks(self) -> bool:
        """Whether it comes in so many pieces that to put them together would cost seconds."""
        return self.is_chunked and self.data.count(b"\r\n") > MOST_LINES

    @property
    def is_endless(self) -> bool:
        """Whether it is too long to look for its end."""
        return self.size > MOST_DISCARDED

    @property
    def size(self) -> int:
        """The length in bytes that it has, or says that it will have."""
        return max(self.length, self.received)

    @property
    def is_work(self) -> bool:
        """Whether it is for the model; all else is answered at once."""
        return self.data.startswith(b"POST ")

    def _read_head(self) -> None:
        head, separator, body = self.data.partition(_END_OF_HEAD)
        if not separator:
            return
        head += b"\r\n"
        if _EXPECT.search(head):  # answered while the body is waited for, and so no longer gunicorn's to answer
            self.expects_continue = True
            head = bytearray(_EXPECT.sub(b"", head))  # which returns bytes, and those cannot be shortened
            self.data = head + b"\r\n" + body
            self.received = len(self.data)
        end = len(head) + 2
        lengths = _LENGTH.findall(head)
        self.is_chunked = bool(_CHUNKED.search(head))
        self.length = end + (int(lengths[0]) if len(lengths) == 1 and not self.is_chunked else 0)
        self.has_head = True
