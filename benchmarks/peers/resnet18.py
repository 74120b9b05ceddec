"""The model that the peers run: torchvision's, or ours. Environment: MODEL, the artifact's folder; PREPARED."""

import json
import os
from functools import partial
from pathlib import Path

import safetensors.torch
import torch
import torchvision
from torchvision import transforms

FOLDER = Path(os.environ["MODEL"])
# The precision of our prepared network; empty for torchvision's.
PREPARED = os.environ.get("PREPARED", "")
ABOUT = json.loads((FOLDER / "model.json").read_text())
CLASSES = ABOUT["classes"]
TRANSFORM = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(ABOUT["mean"], ABOUT["std"]),
    ]
)


def load():
    """Return a function from float32 (n, 3, 224, 224) to logits."""
    if PREPARED:
        from classifier import artifact
        from classifier.serving.predictor import Predictor

        predictor = Predictor(FOLDER, artifact.read(FOLDER), PREPARED)
        return lambda x: predictor.logits(x.contiguous(memory_format=torch.channels_last))
    norm = partial(torch.nn.BatchNorm2d, eps=ABOUT["eps"])
    model = torchvision.models.resnet18(num_classes=len(CLASSES), norm_layer=norm)
    model.load_state_dict(safetensors.torch.load_file(FOLDER / "model.safetensors"))
    return model.eval()


def top(logits: torch.Tensor) -> list[dict]:
    best = logits.softmax(0).topk(5)
    return [{"class": CLASSES[i], "probability": round(float(p), 6)} for p, i in zip(*best, strict=True)]
