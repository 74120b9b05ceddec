"""One line of JSON for each request: its path, its outcome, and where its time went."""

import json
import logging
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field

log = logging.getLogger("access")

# A caller, or a router in front of the server, may have given the request an id.
REQUEST_ID_HEADERS = ("X-Request-Id", "X-Amzn-RequestId")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass
class Trace:
    """What is known about the request that a thread answers; `start` is a time of time.monotonic()."""

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
    decode_cpu_ms: float = 0


current: ContextVar[Trace] = ContextVar("trace")


def name_request(request: str, *ids: str | None) -> Trace:
    """Enter `request`, such as "POST /invocations", and the first usable of `ids` in this thread's trace; return it.

    Begins a trace if no server has begun one, as in tests of the application alone.
    """
    trace = current.get(None)
    if trace is None or trace.request:
        trace = Trace()
        current.set(trace)
    trace.request = request
    trace.request_id = next((i for i in ids if i and _REQUEST_ID.fullmatch(i)), trace.request_id)
    return trace


def log_request(trace: Trace, status: int | None, bytes_out: int) -> None:
    """Log one answered request; `status` is None if the application failed before it had one."""
    if not log.isEnabledFor(logging.INFO):
        return
    line = {key: round(value, 1) if key.endswith("_ms") else value for key, value in asdict(trace).items()}
    start = line.pop("start")
    line |= {"status": status, "bytes_out": bytes_out, "total_ms": round(1000 * (time.monotonic() - start), 1)}
    log.info("%s", json.dumps(line))
