"""Send pictures to a server, and read its answers."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from classifier.errors import UserError
from classifier.json_text import parse_json
from local.damaged_answers import damage

# Time limits: until a connection is made, TLS included, and until the whole answer is there. The second is SageMaker's.
CONNECT_SECONDS, ANSWER_SECONDS = 10, 60
MOST_BYTES = 10_000_000
IMAGE_TYPE = "application/x-image"
PATH = "/invocations"
# What the server is asked besides, by SageMaker's header for it.
ATTRIBUTES, EXPLAIN = "X-Amzn-SageMaker-Custom-Attributes", "explain=true"


def invocations_url(url: str, path: str = PATH) -> str:
    """Return the address to send to: `url` with http:// if it has no scheme, and with `path` at its end.

    Raises UserError if `url` is not the address of an HTTP server.
    """
    with_scheme = url if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url) else f"http://{url}"
    try:
        parts = urlsplit(with_scheme)
        known = parts.scheme in ("http", "https")
        if not known or not parts.hostname or parts.port == 0 or re.search(r"[\s\0-\x1f]", url):
            raise ValueError
    except ValueError:  # also of urlsplit, for a port that is not a number or half an IPv6 address
        accepted = "HOST:PORT, [IPV6]:PORT, http://HOST:PORT or https://HOST:PORT"
        raise UserError(f"{url!r} is not the address of a server; accepted: {accepted}") from None
    whole = parts.path.rstrip("/").removesuffix(path) + path
    return urlunsplit((parts.scheme, parts.netloc, whole, parts.query, ""))


def sender(url: str, path: str = PATH, attributes: str = "") -> Callable[[bytes], bytes]:
    """Return a function that sends bytes to `path` of the server at `url` and returns its answer, an error's too.

    `attributes` are what the server is asked besides, such as EXPLAIN.

    Raises UserError, as does that function, if no HTTP server answers there in time, or if its answer is damaged.
    """
    import requests
    from urllib3.exceptions import HTTPError

    address = invocations_url(url, path)

    def send(data: bytes) -> bytes:
        try:
            with (
                limited_time(ANSWER_SECONDS),
                requests.post(
                    *(address, data),
                    headers={"Content-Type": IMAGE_TYPE} | ({ATTRIBUTES: attributes} if attributes else {}),
                    timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                    allow_redirects=False,  # it would repeat the request without the picture
                    stream=True,
                ) as answer,
            ):
                content = answer.raw.read(MOST_BYTES, decode_content=True)
        except (OSError, HTTPError, ValueError) as error:  # ValueError for a name that no host can have
            causes = chain(error)
            if said := damage(causes):
                raise UserError(f"the answer of {url}{way(address)} is damaged: {said}") from error
            raise UserError(f"no server answers at {url}{way(address)}: {reason(causes[-1], address)}") from error
        if answer.is_redirect:
            location = answer.headers["Location"]
            raise UserError(f"the server at {url} redirects to {location!r}: give --url that address")
        return content

    return send


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after `seconds`: timeouts of sockets begin anew with every byte.

    It needs the main thread.
    """

    def expire(*_: object) -> None:
        raise TimeoutError(f"no whole answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def way(address: str) -> str:
    """Return the words for the proxy that requests to `address` go through, without its password; "" for none."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(address, get_environ_proxies(address))
    return f" through the proxy {proxy.rpartition('@')[2]} (none for hosts in no_proxy)" if proxy else ""


def chain(error: BaseException) -> list[BaseException]:
    """Return an error of requests and its causes, the innermost last."""
    causes, inner = [], error
    while isinstance(inner, BaseException):
        causes.append(inner)
        inner = getattr(inner, "reason", None) or getattr(inner, "original_error", None) or inner.__context__
    return causes


def reason(error: BaseException, address: str) -> str:
    """Return the innermost cause in one line, without Python's objects, and what to do."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if text.isprintable() else ascii(text)  # it may have what the server sent
    without_tls = address.startswith("https:") and re.search("handshake|SSL", text) and "CERTIFICATE" not in text
    return f"{text}; a server without TLS needs http://" if without_tls else text


def classify(name: str, data: bytes, send: Callable[[bytes], bytes]) -> dict[str, Any]:
    """Return the answer for one picture: file, milliseconds, and predictions or an error."""
    started = time.monotonic()
    answer = send(data)
    milliseconds = round(1000 * (time.monotonic() - started), 1)
    own = {"file": name, "milliseconds": milliseconds}
    return own | read_answer(answer) | own  # these first, and never the server's


def read_answer(answer: bytes) -> dict[str, Any]:
    """Return the predictions or the error of an answer; an error if it is not one of our server's."""
    try:
        result: Any = parse_json(answer.decode())
        predictions = result.get("predictions", [])
        texts = [*([result["error"]] if "error" in result else []), *(one["class"] for one in predictions)]
        probabilities = [one["probability"] for one in predictions]
        are_ours = all(isinstance(text, str) and text for text in texts) and result.get("known") in (None, True, False)
        if texts and are_ours and all(0 <= value <= 1 for value in probabilities):
            return result
    except (ValueError, LookupError, TypeError, AttributeError):
        pass  # perhaps a proxy's page, or another server
    text = " ".join(answer[:200].decode(errors="replace").split())
    return {"error": f"not an answer of our server: {text!r}"}
