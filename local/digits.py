"""scikit-learn's handwritten digits as JPEGs: the default images of the demo and of --local."""

import shutil
from pathlib import Path
from typing import Any

UNSEEN = "unseen"


def write_digits(folder: Path) -> Path:
    """Write the digits below `folder`/data and return that path; one of each class goes to `folder`/unseen instead."""
    from PIL import Image
    from sklearn.datasets import load_digits

    if (folder / "data").exists():
        return folder / "data"
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    digits: Any = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        first = not (temporary / UNSEEN / f"digit-{digit}").exists()
        phase = UNSEEN if first else "data/test" if number % 10 == 0 else "data/train"
        path = temporary / phase / f"digit-{digit}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype("uint8")).resize((64, 64)).save(path)
    temporary.rename(folder)
    return folder / "data"
