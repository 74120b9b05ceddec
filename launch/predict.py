"""Classify pictures with the last deployed endpoint, or with a server: deploy.py --local's (--local) or any (--url)."""

if __name__ == "__main__":
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import PurePath

from classifier.errors import UserError
from classifier.words import plural
from launch import asynchronous, console, endpoints, multimodel
from launch.aws import Aws
from launch.settings import LOCAL, make_parser, path
from local import explained, many, pictures, places, sending, tables


def main() -> int:
    parser = make_parser(__doc__, "aws", takes="FILE [FILE ...]")
    parser.add_argument("files", nargs="+", type=path, metavar="FILE", help="a picture, or a folder of pictures")
    parser.add_argument("--endpoint", metavar="NAME", help="the endpoint (default: the last deployed)")
    parser.add_argument("--model", metavar="NAME", default="", help="the model, of an endpoint or server of many")
    parser.add_argument("--url", help="send to this server instead, such as 127.0.0.1:8080")
    parser.add_argument("--local", action="store_true", help="send to the server that deploy.py --local started")
    parser.add_argument("--json", action="store_true", help="print one JSON line per picture, with all its classes")
    parser.add_argument("--explain", action="store_true", help="write a page: what in each picture speaks for a class")
    parser.exclude("local", "url", "endpoint", settings_but=LOCAL)
    parser.exclude("url", "endpoint", settings_but=LOCAL)
    settings = parser.parse_args()
    attributes = sending.EXPLAIN if settings.explain else ""
    files = [file for given in settings.files for file in pictures.find_pictures(given)]
    if settings.local or settings.url is not None:
        server = places.latest("local_url") if settings.url is None else settings.url
        send = sending.sender(server, many.invoke_path(settings.model), attributes)
        results = [sending.classify(str(file), file.read_bytes(), send) for file in files]
    else:
        sent = ((str(file), file.read_bytes()) for file in files)
        endpoint = settings.endpoint or places.latest("endpoint")
        results = ask_endpoint(Aws(settings), endpoint, sent, settings.model, attributes)
    if settings.explain:
        print(f"explained in {explained.write_page(results)}", file=sys.stderr)
    if settings.json:
        print("\n".join(map(json.dumps, results)))
    else:
        show_answers(results)
    return int(any("error" in result for result in results))


def ask_endpoint(
    aws: Aws, name: str, sent: Iterable[tuple[str, bytes]], model: str = "", attributes: str = ""
) -> list[dict]:
    """Return the answers of the endpoint, or of one of its models, for pictures with their names."""
    if endpoints.is_asynchronous(aws, name):
        if model:
            raise UserError(f"--model has no effect: {name} is asynchronous, and has one model")
        submitted = [(file, data, asynchronous.submit(aws, name, data, attributes)) for file, data in sent]
        return [sending.classify(*one) for one in submitted]
    send = endpoint_sender(aws, name, model, attributes)
    return [sending.classify(file, data, send) for file, data in sent]


def endpoint_sender(aws: Aws, name: str, model: str = "", attributes: str = "") -> Callable[[bytes], bytes]:
    """Return a function that sends bytes to the endpoint and returns its answer, an error's too."""
    runtime = aws.session.client("sagemaker-runtime")
    given = {"EndpointName": name, "ContentType": sending.IMAGE_TYPE} | multimodel.target(model)
    given |= {"CustomAttributes": attributes} if attributes else {}

    def send(data: bytes) -> bytes:
        try:
            return runtime.invoke_endpoint(**given, Body=data)["Body"].read()
        except runtime.exceptions.ModelError as error:
            return error.response.get("OriginalMessage", str(error)).encode()

    return send


def show_answers(results: list[dict]) -> None:
    """Print a line for each picture, without the folder that all are in, and how many are right, if that is known."""
    folder = common_folder([result["file"] for result in results])
    rows = []
    for result in results:
        best, second, *_ = [*result.get("predictions", ()), {}, {}]
        probability = f"{best['probability']:.3f}" if best else ""
        then = f"{second['class']} {second['probability']:.3f}" if second else ""
        name = result["file"].removeprefix(folder)
        rows.append((name, best.get("class") or result["error"], probability, then, result["milliseconds"]))
    head = ("file", "class", "probability", "then", "ms")
    title = f"{folder}: {plural(len(results), 'picture')}" if folder else None
    tables.terminal().print(tables.table(head, rows, ("probability", "ms"), title))
    right = count_right(results)
    if right is not None:
        print(f"{right:,} of {len(results):,} right")


def common_folder(files: list[str]) -> str:
    """Return the folder, with its slash, that several files have in common; "" if there is none."""
    parents = {PurePath(file).parent for file in files}
    with suppress(ValueError):  # absolute and relative paths
        common = os.path.commonpath(parents) if len(files) > 1 else ""
        return f"{common.rstrip('/')}/" if common not in ("", ".") else ""
    return ""


def count_right(results: list[dict]) -> int | None:
    """Return how many pictures are of the class that their folder is named after; None unless all folders are."""
    classes = {one["class"] for result in results for one in result.get("predictions", ())}
    truths = [PurePath(result["file"]).parent.name for result in results]
    if len(results) < 2 or not classes.issuperset(truths):
        return None
    best = [result["predictions"][0]["class"] if "predictions" in result else None for result in results]
    return sum(one == truth for one, truth in zip(best, truths, strict=True))


if __name__ == "__main__":
    console.run(main)
