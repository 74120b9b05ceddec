"""Classify pictures by the last deployed endpoint, by a server's URL, or with --local by deploy.py --local's server."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

import places
from aws import Aws
from classifier.images import SUFFIXES
from console import run, show, table
from hosting import IMAGE_TYPE
from settings import parser

SECONDS = 60


def main() -> int:
    arguments = parser(__doc__, "aws")
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a picture, or a folder of pictures")
    arguments.add_argument("--endpoint", metavar="NAME", help="the endpoint (default: the last deployed)")
    arguments.add_argument("--url", help="a server in its place, such as http://127.0.0.1:8080")
    arguments.add_argument("--local", action="store_true", help="what deploy.py --local started")
    arguments.add_argument("--json", action="store_true", help="a JSON line for each picture, with all its classes")
    settings = arguments.parse_args()
    files = [file for path in settings.files for file in pictures(path)]
    if settings.local or settings.url:
        send = to_url(settings.url or places.latest("local_url"))
    else:
        send = to_endpoint(Aws(settings), settings.endpoint or places.latest("endpoint"))
    results = [classify(str(file), file.read_bytes(), send) for file in files]
    if settings.json:
        print("\n".join(map(json.dumps, results)))
    else:
        show_answers(results)
    return int(any("error" in result for result in results))


def pictures(path: Path) -> list[Path]:
    """The file, or the pictures in the folder. Raises UserError where there are none."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise places.UserError(f"{path} is no file, nor a folder with files ending in {', '.join(SUFFIXES)}")
    return files


def to_url(url: str) -> Callable[[bytes], bytes]:
    """What sends bytes to the server at `url`, and returns its answer, also where it refuses them."""

    def send(data: bytes) -> bytes:
        request = urllib.request.Request(f"{url.rstrip('/')}/invocations", data, {"Content-Type": IMAGE_TYPE})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError as error:
            raise places.UserError(f"no server answers at {url}: {error}") from error

    return send


def to_endpoint(aws: Aws, name: str) -> Callable[[bytes], bytes]:
    """The same with the endpoint of this name."""
    runtime = aws.session.client("sagemaker-runtime")

    def send(data: bytes) -> bytes:
        try:
            return runtime.invoke_endpoint(EndpointName=name, ContentType=IMAGE_TYPE, Body=data)["Body"].read()
        except runtime.exceptions.ModelError as error:
            return error.response.get("OriginalMessage", str(error)).encode()

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


def show_answers(results: Iterable[dict]) -> None:
    rows = []
    for result in results:
        best, second, *_ = [*result.get("predictions", ()), {}, {}]
        probability = f"{best['probability']:.3f}" if best else ""
        then = f"{second['class']} {second['probability']:.3f}" if second else ""
        rows.append((result["file"], best.get("class") or result["error"], probability, then, result["milliseconds"]))
    show(table(("file", "class", "probability", "then", "ms"), rows, numbers=("probability", "ms")))


if __name__ == "__main__":
    run(main)
