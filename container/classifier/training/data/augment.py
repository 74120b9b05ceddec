"""Augmentation: random changes to the training images, which depend on seed, epoch and position alone.

Each image gets its own random crop when it is read; everything else is done to whole batches, on the device.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

# The smallest share of an image's area that a crop covers, and the range of its width divided by its height.
SMALLEST_CROP = 0.25
NARROWEST, WIDEST = 3 / 4, 4 / 3


def whole_side(image_size: int) -> int:
    """Return the shorter side, in pixels, at which the smallest crop still has as many pixels as the network sees."""
    return round(image_size / SMALLEST_CROP**0.5)


def draw_crop(random: np.random.Generator, height: int, width: int) -> tuple[slice, slice]:
    """Return rows and columns of a random crop, with the distribution of torchvision's RandomResizedCrop."""
    for _ in range(10):
        area = height * width * random.uniform(SMALLEST_CROP, 1)
        ratio = math.exp(random.uniform(math.log(NARROWEST), math.log(WIDEST)))
        crop_height, crop_width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < crop_height <= height and 0 < crop_width <= width:
            top, left = random.integers(height - crop_height + 1), random.integers(width - crop_width + 1)
            return slice(top, top + crop_height), slice(left, left + crop_width)
    crop_height, crop_width = min(height, round(width / NARROWEST)), min(width, round(height * WIDEST))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return slice(top, top + crop_height), slice(left, left + crop_width)


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 pixels (height, width, 3) to (size, size, 3), with antialiasing."""
    # torch's kernel takes half of Pillow's time, and reads a crop without copying it first.
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(planes, (size, size), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


class Augmentation:
    """Flips half of a batch's images from left to right, unless the hyperparameter `augmentation` is none."""

    def __init__(self, name: str, seed: int):
        self.name = name
        self.seed = seed

    def of(self, epoch: int, batch: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the function that changes a batch of uint8 pixels (n, height, width, 3), on their device."""
        return partial(self._change, random=np.random.default_rng((self.seed, epoch, batch)))

    def _change(self, pixels: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
        if self.name == "none":
            return pixels
        flipped = torch.from_numpy(random.random((len(pixels), 1, 1, 1)) < 0.5).to(pixels.device, non_blocking=True)
        return torch.where(flipped, pixels.flip(2), pixels)
