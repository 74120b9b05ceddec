"""The predictor for a GPU, by torch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from classifier import artifact, device
from classifier.artifact import Artifact
from classifier.device import PRECISIONS
from classifier.errors import UserError
from classifier.serving.batcher import Forward
from classifier.serving.fixed_batch import FixedBatch
from classifier.serving.folded_network import FoldedNetwork
from classifier.unlikeness import Measure
from classifier.words import plural

# A batch is padded to the next of these, so that a few graphs are enough.
SIZES = (1, 2, 4, 8, 16, 32)


class TorchPredictor:
    """An artifact's network on the GPU. One thread runs it."""

    batch_size = SIZES[-1]
    lanes: tuple[int, ...] = (1,)

    def __init__(self, folder: Path, about: Artifact, precision: str = "auto", where: torch.device | None = None):
        """Load the weights onto `where`, by default this machine's GPU, and prepare for every size of a batch.

        Raises UserError if it cannot be used, does not support `precision` or lacks the memory, or if the weights are
        damaged.
        """
        if precision not in PRECISIONS:
            raise UserError(f"precision {precision!r} is for processors; accepted on a GPU: {', '.join(PRECISIONS)}")
        self.artifact = about
        where = where or device.choose_device()
        self.device = device.describe(where)
        if where.type == "cuda":
            # fp32 is chosen to get the processor's answers: no TF32, which torch has for convolutions by default.
            torch.backends.cudnn.allow_tf32 = False
        weights, measure = artifact.read_weights(folder, about), artifact.read_measure(folder, about)
        try:
            chosen, dtype = _choose(weights, measure, about, where, precision)
            self._batches = {size: FixedBatch(chosen, size, about.image_size, where) for size in SIZES}
            torch.cuda.empty_cache()  # what only the calls before the captures needed
        except RuntimeError as error:
            if not (said := device.out_of_memory(error)):
                raise
            raise UserError(
                f"the GPU's memory is too small for batches of {plural(self.batch_size, 'image')} of "
                f"{about.image_size} px; accepted: a GPU with more memory, or one that no other process uses ({said})"
            ) from error
        self.precision = device.name_precision(dtype)

    def in_lane(self, cores: int) -> Forward:
        return self.rows

    def rows(self, pixels: np.ndarray) -> np.ndarray:
        """Return a row for each of n >= 1 images, float32 (n, row_width of the artifact); uint8 (n, size, size, 3)."""
        return self._batches[min(size for size in SIZES if size >= len(pixels))](pixels)


def _choose(
    weights: Mapping[str, np.ndarray], measure: Measure | None, about: Artifact, where: torch.device, precision: str
) -> tuple[FoldedNetwork, torch.dtype]:
    """Return the network in the precision asked for; auto is the first of several whose range it fits.

    Raises UserError if it leaves the range of the one precision that is accepted.
    """
    shape = (1, about.image_size, about.image_size, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    samples = np.concatenate([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise])
    for dtype in device.serving_dtypes(precision, where):
        made = FoldedNetwork(weights, about, where, dtype, measure)
        if made.fits(torch.from_numpy(samples).to(where)):
            return made, dtype
    raise UserError(
        f"the network's weights, or its values for a blank image, leave the range of precision {precision!r}"
        + ("" if precision in ("auto", "fp32") else "; accepted: auto, fp32")
    )
