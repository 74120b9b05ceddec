"""Check a folder of images before anything is paid for: unreadable, double, blank and blurred ones, leaks, counts.

A table on the terminal and a page with the pictures say what is wrong, the worst first. Nothing in the folder is
changed. leave_out.txt is added to it, with the images that are better left out, if it is not there yet: upload.py,
training and the demo then leave these out.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

import hashlib
import json
from pathlib import Path

from classifier import streams
from classifier.errors import UserError
from classifier.training.data.leave_out import NAME
from classifier.training.data.names import printable
from classifier.words import plural
from launch import console
from launch.settings import make_parser, path
from local import places
from local.checking import Check

# Of a folder's name in that of its page: a file's name may have 255 bytes.
MOST_LETTERS = 25


def main() -> int:
    parser = make_parser(__doc__, takes="FOLDER")
    parser.add_argument("folder", type=path, help="the folder of images")
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead of tables")
    parser.add_argument("--strict", action="store_true", help="exit with code 1 if anything was found")
    parser.add_argument("--no-list", action="store_true", help=f"do not write {NAME}")
    settings = parser.parse_args()
    check = Check(settings.folder)
    if settings.json:
        print(json.dumps(check.as_json(), indent=2))
    else:
        check.show_classes()
        check.show()
    page = places.RUNS / "check" / page_name(settings.folder.resolve())
    check.write_page(page)
    told = [f"page: {page}", *([] if settings.no_list else write_list(check))]
    if not settings.json:
        print(*told, sep="\n")
    return int(settings.strict and bool(check.findings))


def write_list(check: Check) -> list[str]:
    """Write leave_out.txt, and return what to say of it. That it cannot be written is said on standard error."""
    try:
        written = check.write_list()
    except UserError as error:
        streams.tell(f"check: {error}; --no-list checks a folder without writing to it")
        return []
    count = plural(len(check.left_out), "image")
    if written and check.left_out:
        heed = "upload.py, train.py --local and the demo heed it: look first"
        return [f"{written} lists what is better left out, {count}; {heed}"]
    if written:
        return [f"{written} lists, as comments, what you decide about: remove the # before an image to leave it out"]
    if check.left_out:
        again = "remove it to have it written anew, with all that it names now"
        return [f"{check.folder / NAME} is there already, and lacks {count}: {again}"]
    return []


def page_name(folder: Path) -> str:
    """Return the name of a folder's page: another one for each folder, since many are called train."""
    digest = hashlib.blake2b(bytes(folder), digest_size=3).hexdigest()
    readable = [printable(part)[:MOST_LETTERS] for part in folder.parts[1:][-2:]]
    return f"{'-'.join([*readable, digest])}.html"


if __name__ == "__main__":
    console.run(main)
