"""Classify pictures with the last deployed endpoint, or with a server: deploy.py --local's (--local) or any (--url).

With --prove the pictures are a sample of a job's own test images, and the answers are compared with training's.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator

from classifier import streams
from classifier.errors import UserError
from classifier.words import plural
from launch import console, proof
from launch.asking import ask_endpoint
from launch.aws import Aws
from launch.settings import LOCAL, make_parser, path
from local import explained, many, pictures, places, proving, results, sending, server


def main() -> int:
    parser = make_parser(__doc__, "aws", takes="FILE [FILE ...]")
    parser.add_argument("files", nargs="*", type=path, metavar="FILE", help="a picture, or a folder of pictures")
    parser.add_argument("--endpoint", metavar="NAME", help="the endpoint (default: the last deployed)")
    parser.add_argument("--model", metavar="NAME", default="", help="the model, of an endpoint or server of many")
    parser.add_argument("--url", help="send to this server instead, such as 127.0.0.1:8080")
    parser.add_argument("--local", action="store_true", help="send to the server that deploy.py --local started")
    parser.add_argument("--json", action="store_true", help="print one JSON line per picture, with all its classes")
    parser.add_argument("--explain", action="store_true", help="write a page: what in each picture speaks for a class")
    parser.add_argument(
        "--prove", action="store_true", help="compare the answers to a job's test images with training's"
    )
    parser.add_argument("--job", metavar="NAME", help="the job of --prove (default: the last one)")
    parser.exclude("local", "url", "endpoint", settings_but=LOCAL)
    parser.exclude("url", "endpoint", settings_but=LOCAL)
    parser.exclude("prove", "explain", "json")
    settings = parser.parse_args()
    if settings.prove == bool(settings.files) or (settings.job and not settings.prove):
        raise UserError("what to send is not clear; accepted: FILE ..., or --prove, which may have a --job")
    if settings.prove:
        prove(settings)
        return 0
    files = [file for given in settings.files for file in pictures.find_pictures(given)]
    for told in filter(None, map(pictures.passed_over, settings.files)):
        streams.tell(told)
    sent = ((str(file), file.read_bytes()) for file in files)
    answers: list[dict] = []
    try:
        for answer in ask(settings, sent, sending.EXPLAIN if settings.explain else ""):
            answers.append(answer)
    except BaseException:
        if answers:
            tell(settings, answers)
            left = f"{files[len(answers)]} and those after it have none"
            streams.tell(f"{plural(len(answers), 'answer')} to {plural(len(files), 'picture')}: {left}")
        raise
    tell(settings, answers)
    return results.exit_code(answers)


def tell(settings: Namespace, answers: list[dict]) -> None:
    """Print the answers, and then write the page of --explain, which may fail."""
    if settings.json:
        print("\n".join(map(json.dumps, answers)))
    else:
        results.show(answers)
    if settings.explain:
        page = explained.write_page(answers)
        print(f"explained in {page}" if page else "no picture was explained, so no page was written", file=sys.stderr)


def ask(settings: Namespace, sent: Iterable[tuple[str, bytes]], attributes: str) -> Iterator[dict]:
    """Yield the answers of the server or endpoint that the settings name, until one is refused."""
    if not of_server(settings):
        endpoint = settings.endpoint or places.latest("endpoint")
        yield from ask_endpoint(Aws(settings), endpoint, sent, settings.model, attributes)
        return
    url = server.url() if settings.url is None else settings.url
    send = sending.sender(url, many.invoke_path(settings.model), attributes)
    yield from (sending.classify(file, data, send) for file, data in sent)


def of_server(settings: Namespace) -> bool:
    return settings.local or settings.url is not None


def prove(settings: Namespace) -> None:
    """Compare the answers to a job's sample with training's. Raises UserError if they differ, or there is none."""
    here = of_server(settings)
    job = settings.job or places.latest("local_job" if here else "job")
    taken = proving.sample_of(job) if here else proof.fetch_sample(Aws(settings), job)
    if taken is None and here and not places.run_folder(job).exists():
        raise places.no_run("job", job, proving.FILE)
    if taken is None:
        raise UserError(
            f"{job} has no sample of answers in its output; accepted: a job that has ended, with answers_sample above 0"
        )
    answers = list(ask(settings, proving.asked(taken), proving.ATTRIBUTES))
    proving.prove(taken, answers, "the server" if here else "the endpoint")


if __name__ == "__main__":
    console.run(main)
