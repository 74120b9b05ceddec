"""One line of JSON for each request: what it was, how it ended, and where its time went."""

import json
import logging
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field

log = logging.getLogger("access")

# What a caller or a router before us may have named the request by.
REQUEST_ID_HEADERS = ("X-Request-Id", "X-Amzn-RequestId")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass
class Trace:
    """What is known of the request that this thread answers; `start` is a time of time.monotonic()."""

    start: float = field(default_factory=time.monotonic)
    bytes_in: int = 0
    request: str = ""
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    images: int = 0
    decode_pixels: int = 0
    decode_ms: float = 0
    queue_ms: float = 0
    model_ms: float = 0
    batch_size: int = 0


current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def name(request: str, *ids: str | None) -> Trace:
    """This thread's request turns out to be `request`, such as "POST /invocations", with the first usable of `ids`.

    Where no server has begun a trace of it, as in tests of the application alone, one begins now.
    """
    trace = current.get()
    if trace is None or trace.request:
        trace = Trace()
        current.set(trace)
    trace.request = request
    trace.request_id = next((i for i in ids if i and _REQUEST_ID.fullmatch(i)), trace.request_id)
    return trace


def write(trace: Trace, status: int, bytes_out: int) -> None:
    """Log one answered request."""
    if not log.isEnabledFor(logging.INFO):
        return
    line = {key: round(value, 1) if key.endswith("_ms") else value for key, value in asdict(trace).items()}
    start = line.pop("start")
    line |= {"status": status, "bytes_out": bytes_out, "total_ms": round(1000 * (time.monotonic() - start), 1)}
    log.info("%s", json.dumps(line))
