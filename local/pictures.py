"""The pictures on this computer: find them, by default the handwritten digits, and check that they can be read."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from classifier import images
from classifier.errors import UserError
from classifier.training import imagenet
from classifier.training.checking.finding import Finding
from classifier.training.data.contents import hash_images
from classifier.training.data.files import Folder, walk
from classifier.training.data.folders import read_dataset
from classifier.training.data.names import printable
from classifier.training.data.passed_over import few_kinds
from classifier.training.hyperparameters import Hyperparameters
from classifier.words import is_are, plural
from local import places
from local.checking import Check
from local.digits import write_digits

# Handwritten digits are 8 x 8 pixels.
DIGITS = {"weights": "none", "image_size": 32, "epochs": 4, "augmentation": "none"}
INSTALL = "make demo installs it, or pip install -r requirements/local.txt"


def data_and_defaults(data: str, image: str) -> tuple[Path, dict[str, object]]:
    """Return the folder of images, by default the handwritten digits, and hyperparameters that suit them.

    Raises UserError if `data` is not a folder whose layout training accepts.
    """
    if not image:
        places.need("torch", INSTALL)
    if not data:
        places.need("sklearn", INSTALL)
        return write_digits(digits_folder()), DIGITS
    folder, has_weights = existing_folder(data), image or (imagenet.FOLDER / imagenet.FILE).exists()
    read_dataset({"train": folder}, seed=0)  # training would say the same, later and of a path that no user typed
    if has_weights:
        return folder.resolve(), {}
    warn_without_weights()
    return folder.resolve(), {"weights": "none"}


def digits_folder() -> Path:
    return places.RUNS / "digits"


def check_weights(hyperparameters: Mapping[str, object], image: str) -> None:
    """Raise UserError if a job with these hyperparameters lacks ImageNet's weights; `image` has its own."""
    if not image and hyperparameters.get("weights", Hyperparameters().weights) == "imagenet":
        imagenet.checked_file()


@cache
def warn_without_weights() -> None:
    """Say once what it costs to train without ImageNet's weights: the accuracy alone would not tell why it is low."""
    print(
        "WITHOUT IMAGENET'S WEIGHTS: training starts from random ones; expect far less accuracy.\n"
        "make weights fetches them (45 MB) once.",
        flush=True,
    )


def check_here(folder: Path) -> None:
    """Check layout and images of `folder` before training on this computer, and print what is wrong.

    Nothing is paid for and nothing is asked, so a leak of whole files is said in a line of its own.
    """
    check = Check(folder)
    check.show()
    if leak := next((leak for leak in check.leaks if leak.exact), None):
        print(
            f"A LEAK: {leak.what}, so {leak.advice}.\n"
            f"launch/check.py {printable(folder)} shows them; training leaves out what leave_out.txt there names.",
            flush=True,
        )


def identity(folder: Path) -> str:
    """Return what tells the images of `folder` from others, for people and programs. Errors as data_and_defaults()."""
    dataset = read_dataset({"train": folder}, seed=0)
    images, classes = plural(sum(map(len, dataset.phases)), "image"), plural(len(dataset.classes), "class")
    return f"{images} in {classes} ({hash_images(dataset.classes, dataset.phases)[:12]})"


def check_identity(folder: Path, began: str, name: str, accepted: str) -> None:
    """Raise UserError if the images of `folder` are not those with which the job or tuning `name` began.

    With "" in place of their identity, as of earlier versions, any are.
    """
    if began and (found := identity(folder)) != began:
        raise UserError(f"{printable(folder)} has {found}, and {name} began with {began}; accepted: {accepted}")


def existing_folder(path: str) -> Path:
    """Return the path. Raises UserError if it is not a folder."""
    with suppress(OSError):  # of a name that is too long
        if Path(path).is_dir():
            return Path(path)
    raise UserError(f"{printable(path)} is not a folder; accepted with --local: a folder of images")


def find_pictures(path: Path) -> list[Path]:
    """Return the file, or the pictures that training would find in the folder. Raises UserError if there are none."""
    if path.is_file():
        return [path]
    folders = walk(Folder(path)) if path.is_dir() else ()
    files = sorted(file for folder in folders for name in folder.images if (file := folder.path / name).is_file())
    if not files:
        suffixes = ", ".join(images.SUFFIXES)
        raise UserError(f"{printable(path)} is not a file, nor a folder with files ending in {suffixes}")
    return files


def first_readable(folder: Path) -> Path | None:
    """Return the first picture of a folder that can be decoded; None if there is none, or if the folder is gone."""
    with suppress(UserError, OSError):
        return next(filter(is_readable, find_pictures(folder)), None)
    return None


def is_readable(file: Path) -> bool:
    with suppress(images.ImageError, OSError):
        images.decode(file.read_bytes(), short_side=1)
        return True
    return False


def passed_over(path: Path) -> str:
    """Return a sentence about what find_pictures() passes over in a folder; "" if there is nothing, or it is a file."""
    kinds: Counter[str] = Counter()
    for folder in walk(Folder(path)) if path.is_dir() else ():
        kinds.update(folder.contents.passed_over)
        kinds["link to nothing"] += sum(not (folder.path / name).is_file() for name in folder.images)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(few_kinds(kinds).items()))
    return f"{printable(path)}: passed over: {counts}" if counts else ""


def check_pictures(folder: Path) -> tuple[list[Path], list[Finding]]:
    """Check layout and images of `folder`, and print what is wrong.

    Returns the images, but for those without a file, and the leaks between the splits. Raises UserError if training
    would reject the layout, or if many images are unreadable.
    """
    check = Check(folder)
    check.show()
    files, broken = check.survey.paths, check.survey.unreadable
    for one, why in sorted(broken.items()):
        print(printable(f"unreadable, training will skip it: {files[one]}: {why}"))
    if len(broken) > len(files) / 10:
        raise UserError(
            f"{len(broken)} of {plural(len(files), 'image')} {is_are(len(broken))} unreadable; accepted: up to 10 %"
        )
    return sorted(file for file in files if file.is_file()), check.leaks
