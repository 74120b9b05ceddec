"""Classify pictures by the last deployed endpoint, by a server's URL, or with --local by deploy.py --local's server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import aws
import places
from asking import as_table, classify, to_endpoint, to_url
from classifier.images import SUFFIXES
from console import run, show
from settings import parser


def main() -> int:
    arguments = parser(__doc__, "aws")
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a picture, or a folder of pictures")
    arguments.add_argument("--endpoint", metavar="NAME", help="the endpoint (default: the last deployed)")
    arguments.add_argument("--url", help="a server in its place, such as http://127.0.0.1:8080")
    arguments.add_argument("--local", action="store_true", help="what deploy.py --local started")
    arguments.add_argument("--json", action="store_true", help="a JSON line for each picture, with all its classes")
    settings = arguments.parse_args()
    if settings.local or settings.url:
        url = settings.url or places.latest("local_url", "nothing is deployed here: run launch/deploy.py --local")
        send = to_url(url)
    else:
        name = settings.endpoint or places.latest("endpoint", "nothing is deployed: run launch/deploy.py")
        send = to_endpoint(aws.connect(settings), name)
    return tell(settings.files, send, as_json=settings.json)


def tell(files: list[Path], send: Callable[[bytes], bytes], as_json: bool = False) -> int:
    """Classify the pictures and print the answers; 1 where one was refused."""
    results = [classify(str(file), file.read_bytes(), send) for file in pictures(files)]
    if as_json:
        print("\n".join(map(json.dumps, results)))
    else:
        show(as_table(results))
    return int(any("error" in result for result in results))


def pictures(files: list[Path]) -> Iterator[Path]:
    """The files, and the pictures in the folders. Raises UserError for what is not there."""
    for file in files:
        if file.is_dir():
            found = sorted(path for path in file.rglob("*") if path.suffix.lower() in SUFFIXES)
            if not found:
                raise places.UserError(f"{file} has no pictures; accepted: files ending in {', '.join(SUFFIXES)}")
            yield from found
        elif file.exists():
            yield file
        else:
            raise places.UserError(f"there is no file {file}")


if __name__ == "__main__":
    run(main)
