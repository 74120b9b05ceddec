"""The file of ImageNet weights, which the image build or `make weights` stores beside the package."""

import hashlib
from pathlib import Path

from classifier import files
from classifier.errors import UserError

# Never under /opt/ml: SageMaker mounts its own folders there.
FOLDER = Path(__file__).parents[2] / "weights"
FILE = "resnet18.pth"


def checked_file(folder: Path = FOLDER) -> Path:
    """Return the path of the file in `folder`. Raises UserError if it is missing or its SHA-256 is not as recorded."""
    path, checksum = folder / FILE, folder / f"{FILE}.sha256"
    if not path.is_file() or not checksum.is_file():
        raise UserError(
            f"weights=imagenet, but there is no {FILE} with its checksum in {folder}; accepted: an image built with "
            "WEIGHTS=imagenet (or `make weights` outside it), a channel 'pretrained' with a torchvision ResNet18 file, "
            "or weights=none"
        )
    expected = (files.read_text(checksum).lower().split() or [""])[0]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise UserError(f"{path} has SHA-256 {found}; expected: {expected or 'none'}, as {checksum.name} says")
    return path
