"""The images of a phase as pixels: read from a file once, kept decoded, and cropped anew for each epoch."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from classifier import images
from classifier.training.data.augment import draw_crop, resize, whole_side
from classifier.training.data.cache import Cache
from classifier.training.data.files import read_image_file
from classifier.training.data.folders import Phase
from classifier.training.data.order import Part
from classifier.training.data.readers import Reading
from classifier.training.data.slots import Slots


class Read(NamedTuple):
    """A part that was read. `skipped` has the positions of unreadable images, and the reasons."""

    part: Part
    skipped: dict[int, str]


class ImageDataset(Dataset):
    """The images of a phase, by Part: their pixels are written to the part's slot.

    With `cropped` they are cropped at random, differently in each epoch but epoch 0. There, and without it, they are as
    serving sees them, though of `cropped` ones scaled down twice.
    """

    def __init__(
        self, phase: Phase, image_size: int, cropped: bool, seed: int, cache: Cache, slots: Slots, workers: int = 0
    ):
        self.phase = phase
        self.image_size = image_size
        self.cropped = cropped
        self.seed = seed
        self.cache = cache
        self.slots = slots
        self.reading = Reading(workers)

    def __len__(self) -> int:
        return len(self.phase)

    def __getitem__(self, part: Part) -> Read:
        skipped = {}
        for row, position in enumerate(part.positions, part.row):
            try:
                with self.reading.note(position):
                    self.slots.pixels[part.slot, row] = self.pixels(part.epoch, position)
            except (images.ImageError, OSError) as error:
                skipped[position] = str(error)
        return Read(part, skipped)

    def pixels(self, epoch: int, position: int) -> np.ndarray:
        """Return an image's uint8 pixels (image_size, image_size, 3) in an epoch. Raises ImageError and OSError."""
        decoded = self.decoded(position)
        if not self.cropped:
            return decoded
        if not epoch:
            return images.evaluation_crop(Image.fromarray(decoded), self.image_size)
        # The crop depends on epoch and image, and not on which of how many workers reads it.
        random = np.random.default_rng((self.seed, epoch, position))
        return resize(decoded[draw_crop(random, *decoded.shape[:2])], self.image_size)

    def decoded(self, position: int) -> np.ndarray:
        """Return the uint8 pixels (height, width, 3) that are the same in every epoch."""
        pixels = self.cache.get(position)
        if pixels is None:
            data = read_image_file(self.phase.folder / self.phase.files[position])
            if self.cropped:
                pixels = images.whole_pixels(data, whole_side(self.image_size))
            else:
                pixels = images.evaluation_pixels(data, self.image_size)
            self.cache.put(position, pixels, self.reading.place)
        return pixels
