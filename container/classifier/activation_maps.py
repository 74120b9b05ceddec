"""Class activation maps: how much each part of an image speaks for a class.

The network averages its last features over all places, and one linear layer makes logits of them. So a logit is the
mean of a map, which has at each place the product of its features and the class's weights (Zhou et al., "Learning Deep
Features for Discriminative Localization", 2016). It takes one pass of the network, and no gradients.
"""

import base64
import io
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import safetensors
from PIL import Image

from classifier.artifact_fields import WEIGHTS_FILE
from classifier.layers import HEAD

# A picture of a map: its side in pixels, and its colour, from transparent to OPAQUE of 255.
SIDE = 64
COLOR, OPAQUE = (255, 40, 0), 190


class ActivationMaps:
    """The maps of one artifact's network. Any thread may call; the network is read and compiled at the first call."""

    def __init__(self, read: Callable[[], bytes], folder: Path, precision: str = "fp32", cores: int = 1):
        """Explain the artifact in `folder` by its ONNX file, which `read` returns, on `cores`.

        `precision` is one of engine.list_precisions().
        """
        self._read, self._precision, self._cores = read, precision, cores
        self._lock = threading.Lock()
        with safetensors.safe_open(folder / WEIGHTS_FILE, framework="numpy") as file:
            self._weights = file.get_tensor(f"{HEAD}.weight")  # (classes, features)
        self._run = None

    def maps(self, pixels: np.ndarray, classes: Sequence[int], seconds: float = threading.TIMEOUT_MAX) -> np.ndarray:
        """Return float32 (len(classes), rows, columns) for uint8 pixels of (image_size, image_size, 3).

        Raises TimeoutError if other images' maps take longer than `seconds`.
        """
        from classifier import engine  # takes a while to import, and few answers are explained

        if not self._lock.acquire(timeout=seconds):
            raise TimeoutError("other images are being explained")
        try:
            if self._run is None:
                self._run = engine.Engine(engine.with_features(self._read()), self._precision, self._cores).open()
            (features,) = self._run(pixels[None])[engine.FEATURES]
        finally:
            self._lock.release()
        return np.tensordot(self._weights[list(classes)], features, 1)


def png(values: np.ndarray) -> bytes:
    """Return a map as a square PNG to lay over the image: the more a place speaks for the class, the more opaque.

    It is transparent if no place speaks more than another, as for an image of 32 px, which has a single place.
    """
    above = np.maximum(values, 0)
    above -= above.min()
    opacity = Image.fromarray(np.uint8(OPAQUE * above / max(float(above.max()), np.finfo(np.float32).tiny))).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    picture = Image.new("RGBA", (SIDE, SIDE), COLOR)
    picture.putalpha(opacity)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def png_text(values: np.ndarray) -> str:
    """Return the PNG of a map in base64."""
    return base64.b64encode(png(values)).decode()
