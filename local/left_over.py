"""Say why training would refuse a folder of images from which some were moved."""

from pathlib import Path

from classifier.errors import UserError
from classifier.training.data.files import holds_images
from classifier.training.data.folders import read_dataset
from classifier.training.data.layout import find_layout
from classifier.training.data.names import printable


def refusals(folder: Path) -> list[str]:
    """Return a sentence of each class folder that stays without an image, or else of what training refuses first."""
    channels = {"train": folder}
    try:
        phases = find_layout(channels).phases.values()
        if empty := [one for phase in phases for one in phase.folders.values() if not holds_images(one)]:
            until = "training refuses it until it is removed, with what it holds, or has an image again"
            return [f"{one} has no image left, but stays: {one.held()}; {until}" for one in empty]
        read_dataset(channels, seed=0)
    except UserError as error:
        return [f"training refuses {printable(folder)} as it is now: {error}"]
    return []
