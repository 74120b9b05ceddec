"""The server that is left running on this computer: started and stopped; and what it, or another, answers."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress

from classifier.errors import UserError
from local import places, programs

# SageMaker's own deadlines: until the first good /ping, and between SIGTERM and SIGKILL.
START_SECONDS, STOP_SECONDS = 240, 30
ANSWER_SECONDS = 60
IMAGE_TYPE = "application/x-image"


def start(job: str, image: str) -> str:
    """Leave a server with the model of `job` running, in place of the one before; its URL, once it answers."""
    root = places.RUNS / job
    if not (root / "model/model.json").exists():
        raise UserError(f"{job} has no model in {root / 'model'}")
    stop()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", root / "serve.log"
    with log.open("ab") as stream:
        process = programs.start("serve", root, image, port, stdout=stream, start_new_session=True)
    places.note(local_pid=str(process.pid), local_url=url)
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=2):
            return url
        time.sleep(0.2)
    stop()
    raise UserError(f"the server did not come up within {START_SECONDS} s, or ended; {log} says why")


def running() -> object:
    """psutil's process of the server that was left running, None where it is gone."""
    import psutil

    with suppress(psutil.Error, KeyError, ValueError):
        process = psutil.Process(int(places.noted()["local_pid"]))
        return process if str(places.RUNS) in " ".join(process.cmdline()) else None  # process ids come round again
    return None


def stop() -> bool:
    """Stop the server, if it runs; whether it did."""
    process = running()
    if process:
        process.terminate()
        process.wait(STOP_SECONDS)
    places.note(local_pid="", local_url="")
    return process is not None


def sender(url: str) -> Callable[[bytes], bytes]:
    """What sends bytes to the server at `url`, and returns its answer, also where it refuses them."""

    def send(data: bytes) -> bytes:
        request = urllib.request.Request(f"{url.rstrip('/')}/invocations", data, {"Content-Type": IMAGE_TYPE})
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError as error:
            raise UserError(f"no server answers at {url}: {error}") from error

    return send


def classify(name: str, data: bytes, send: Callable[[bytes], bytes]) -> dict[str, object]:
    """The answer for one picture: file, milliseconds, and predictions or an error."""
    started = time.monotonic()
    answer = send(data)
    milliseconds = round(1000 * (time.monotonic() - started), 1)
    try:
        told = json.loads(answer)
    except ValueError:  # of a proxy, perhaps
        told = {"error": answer.decode(errors="replace")}
    return {"file": name, "milliseconds": milliseconds} | told
