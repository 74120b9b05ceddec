"""The loss, the optimiser, and the learning rate schedule: a linear warm-up, then a cosine to zero."""

import math

import torch

from classifier.training import eager
from classifier.training.data.folders import Dataset
from classifier.training.hyperparameters import Hyperparameters

# Adam's and batch normalisation's statistics are noise in the first steps.
WARMUP_FRACTION = 0.05


def make_loss(hp: Hyperparameters, dataset: Dataset, device: torch.device) -> torch.nn.CrossEntropyLoss:
    """Return cross entropy; with class_weights=balanced the weight of a class is images / (classes * its images)."""
    weight = None
    if hp.class_weights == "balanced":
        counts = torch.bincount(torch.tensor(dataset.train.labels), minlength=len(dataset.classes))
        weight = (len(dataset.train) / (len(dataset.classes) * counts)).to(device)
    return torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=hp.label_smoothing)


def loss_weight(weights: torch.Tensor | None, labels: torch.Tensor) -> float:
    """Return the sum of the class `weights` (classes,) of `labels` (n,): the divisor of the mean loss."""
    return float(len(labels) if weights is None else weights[labels].sum())


def make_optimizer(model: torch.nn.Module, hp: Hyperparameters) -> torch.optim.Optimizer:
    """Return the optimiser of the trainable parameters; biases and batch normalisation have no weight decay."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": hp.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if hp.optimizer == "adamw":
        return eager.AdamW(groups, lr=hp.lr, eps=hp.optimizer_eps, fused=True)
    return eager.SGD(groups, lr=hp.lr, momentum=0.9, nesterov=True, fused=True)


def learning_rate(peak: float, step: int, steps: int) -> float:
    """Return the learning rate of `step` (from 0) of `steps`. It depends on nothing else: resuming needs no state."""
    warmup = max(1, round(WARMUP_FRACTION * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
