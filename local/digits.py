"""scikit-learn's handwritten digits as JPEGs: the default images of the demo and of --local."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

UNSEEN = "unseen"


def write_digits(folder: Path) -> Path:
    """Write the digits below `folder`/data and return that path; one of each class goes to `folder`/unseen instead.

    The folder has all of them or is not there, also if this is interrupted or two processes do it at once.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    if (folder / "data").exists():
        return folder / "data"
    folder.parent.mkdir(parents=True, exist_ok=True)
    digits: Any = load_digits()
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        whole = Path(temporary) / folder.name
        for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
            first = not (whole / UNSEEN / f"digit-{digit}").exists()
            phase = UNSEEN if first else "data/test" if number % 10 == 0 else "data/train"
            path = whole / phase / f"digit-{digit}" / f"{number:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 255 / 16).astype("uint8")).resize((64, 64)).save(path)
        try:
            whole.rename(folder)
        except OSError:
            if not (folder / "data").exists():  # else another process was quicker
                raise
    return folder / "data"
