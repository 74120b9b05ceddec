"""Classify pictures by the last deployed endpoint, by a server's URL, or with --local by deploy.py --local's server."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from launch import console
from launch.aws import Aws
from launch.settings import parser
from local import pictures, places, server, tables


def main() -> int:
    arguments = parser(__doc__, "aws")
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a picture, or a folder of pictures")
    arguments.add_argument("--endpoint", metavar="NAME", help="the endpoint (default: the last deployed)")
    arguments.add_argument("--url", help="a server in its place, such as http://127.0.0.1:8080")
    arguments.add_argument("--local", action="store_true", help="what deploy.py --local started")
    arguments.add_argument("--json", action="store_true", help="a JSON line for each picture, with all its classes")
    settings = arguments.parse_args()
    files = [file for path in settings.files for file in pictures.find(path)]
    if settings.local or settings.url:
        send = server.sender(settings.url or places.latest("local_url"))
    else:
        send = endpoint_sender(Aws(settings), settings.endpoint or places.latest("endpoint"))
    results = [server.classify(str(file), file.read_bytes(), send) for file in files]
    if settings.json:
        print("\n".join(map(json.dumps, results)))
    else:
        show_answers(results)
    return int(any("error" in result for result in results))


def endpoint_sender(aws: Aws, name: str) -> Callable[[bytes], bytes]:
    """What sends bytes to the endpoint of this name, and returns its answer, also where it refuses them."""
    runtime = aws.session.client("sagemaker-runtime")

    def send(data: bytes) -> bytes:
        try:
            return runtime.invoke_endpoint(EndpointName=name, ContentType=server.IMAGE_TYPE, Body=data)["Body"].read()
        except runtime.exceptions.ModelError as error:
            return error.response.get("OriginalMessage", str(error)).encode()

    return send


def show_answers(results: Iterable[dict]) -> None:
    rows = []
    for result in results:
        best, second, *_ = [*result.get("predictions", ()), {}, {}]
        probability = f"{best['probability']:.3f}" if best else ""
        then = f"{second['class']} {second['probability']:.3f}" if second else ""
        rows.append((result["file"], best.get("class") or result["error"], probability, then, result["milliseconds"]))
    head = ("file", "class", "probability", "then", "ms")
    tables.terminal().print(tables.table(head, rows, numbers=("probability", "ms")))


if __name__ == "__main__":
    console.run(main)
