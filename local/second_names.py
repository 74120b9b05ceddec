"""Images with several names in a class, by hard or symbolic links: training passes over all names but the first."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from classifier.errors import UserError
from classifier.training.data.files import Folder, walk
from classifier.training.data.folders import Dataset
from classifier.training.data.leave_out import LeaveOut

Names = Mapping[tuple[int, int], Sequence[Path]]


def find_names(dataset: Dataset, leave_out: LeaveOut) -> Names:
    """Return the names of each image, but for those left out, by the device and inode of its file."""
    found = defaultdict(list)
    for folder in {phase.folder / Path(file).parts[0] for phase in dataset.phases for file in phase.files}:
        for below in walk(Folder(folder)):
            for name, state in below.images.items():
                if not leave_out.has(below.path / name):
                    found[state.device_and_inode].append(below.path / name)
    return found


def check_one_name(image: Path, names: Names, where: str) -> None:
    """Raise UserError if an image has a second name, which would lead to nothing or be in two classes after a move."""
    if not image.exists():
        return
    state = image.stat()
    if others := [name for name in names.get((state.st_dev, state.st_ino), ()) if name != image]:
        raise UserError(f"{where}: {image} and {others[0]} are the same file; accepted: one name of each image to move")
