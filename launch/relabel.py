"""Move the images that a person has marked in a report's labels.csv to the folders of their likely classes.

Write x under "move" in labels.csv, which each training job writes beside its report, before the images whose likely
label is right. --undo moves them back.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from collections.abc import Sequence
from pathlib import Path

from classifier.errors import UserError
from classifier.words import plural, printable
from launch import console
from launch.settings import make_parser, path
from local import left_over, marks, moving, relabelling


def main() -> None:
    parser = make_parser(__doc__, takes="LABELS.CSV --data FOLDER")
    parser.add_argument("labels", type=path, metavar="LABELS.CSV", help="the file that a job wrote, with its marks")
    parser.add_argument("--data", type=path, metavar="FOLDER", required=True, help="the folder of images")
    parser.add_argument("--undo", action="store_true", help="move back what this file's marks have moved before")
    settings = parser.parse_args()
    if settings.undo:
        take_back(settings.labels, settings.data)
        return
    moves = relabelling.marked_moves(settings.labels, settings.data)
    if not moves:
        raise UserError(f"{settings.labels} has no mark under move: nothing was moved; accepted: {marks.MARKS}")
    emptied = moving.move(settings.labels, settings.data, moves)
    print_lines([f"{one.source} -> {one.target}" for one in moves])
    print_lines(
        [f"{folder} has no image left: it is removed" for folder in emptied] + left_over.refusals(settings.data)
    )
    print(f"{plural(len(moves), 'image')} moved; --undo moves back")


def take_back(labels: Path, folder: Path) -> None:
    """Move back what can be. Raises UserError if something cannot."""
    count, left = moving.undo(labels, folder)
    print_lines(left + left_over.refusals(folder))
    print(f"{plural(count, 'image is in its folder', 'images are in their folders')} of before")
    if left:
        raise UserError(
            f"{plural(len(left), 'image')} could not be moved back; accepted: --undo again once the reason is gone, or "
            f"{moving.record_of(labels)} removed, which keeps them"
        )


def print_lines(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        print(printable(sentence))


if __name__ == "__main__":
    console.run(main)
