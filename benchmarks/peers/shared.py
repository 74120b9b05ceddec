"""What all peers have: the classes and the answer. Environment: MODEL, the artifact's folder; FILE, its ONNX file.

The model takes uint8 pixels and normalises them itself, so that no peer needs torch or torchvision.
"""

import json
import os
from pathlib import Path

import numpy as np

FOLDER = Path(os.environ["MODEL"])
FILE = FOLDER / os.environ.get("FILE", "model.int8.onnx")
CORES = len(os.sched_getaffinity(0))
_ABOUT = json.loads((FOLDER / "model.json").read_text())
CLASSES, SIZE = _ABOUT["classes"], _ABOUT["image_size"]


def answer(probabilities: np.ndarray) -> dict:
    """Return the five most probable classes, as our server does."""
    best = np.argsort(-probabilities)[:5]
    return {"predictions": [{"class": CLASSES[i], "probability": round(float(probabilities[i]), 6)} for i in best]}
