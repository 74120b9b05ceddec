"""Sends pictures to a model, behind an endpoint or a server's URL, and tells what it answers."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable

import places
from console import table

IMAGE_TYPE = "application/x-image"
SECONDS = 60


class Refused(Exception):
    """The model refused this picture; the text says why."""


def to_url(url: str) -> Callable[[bytes], bytes]:
    """What sends bytes to the server at `url`, and returns its answer."""

    def send(data: bytes) -> bytes:
        request = urllib.request.Request(f"{url.rstrip('/')}/invocations", data, {"Content-Type": IMAGE_TYPE})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(reason(error.read().decode(errors="replace"))) from error
        except OSError as error:
            raise places.UserError(f"no server answers at {url}: {error}") from error

    return send


def to_endpoint(session, name: str) -> Callable[[bytes], bytes]:
    """What sends bytes to the endpoint of this name, and returns its answer."""
    runtime = session.client("sagemaker-runtime")

    def send(data: bytes) -> bytes:
        try:
            return runtime.invoke_endpoint(EndpointName=name, ContentType=IMAGE_TYPE, Body=data)["Body"].read()
        except runtime.exceptions.ModelError as error:
            raise Refused(reason(error.response.get("OriginalMessage") or str(error))) from error

    return send


def reason(text: str) -> str:
    """The sentence in the model's {"error": ...}, or the text as it is."""
    try:
        return json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text


def classify(name: str, data: bytes, send: Callable[[bytes], bytes]) -> dict[str, object]:
    """The answer for one picture: file, milliseconds, and predictions or an error."""
    started = time.monotonic()
    try:
        told = {"predictions": json.loads(send(data))["predictions"]}
    except Refused as refused:
        told = {"error": str(refused)}
    return {"file": name, "milliseconds": round(1000 * (time.monotonic() - started), 1)} | told


def as_table(results: Iterable[dict]) -> object:
    rows = []
    for result in results:
        best, second, *_ = [*result.get("predictions", ()), {}, {}]
        probability = f"{best['probability']:.3f}" if best else ""
        rest = f"{second['class']} {second['probability']:.3f}" if second else ""
        rows.append((result["file"], best.get("class") or result["error"], probability, rest, result["milliseconds"]))
    return table(("file", "class", "probability", "then", "ms"), rows, numbers=("probability", "ms"))
