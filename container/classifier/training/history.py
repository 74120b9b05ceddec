"""How far training is, and its results so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from classifier.training.evaluate import Evaluation


@dataclass
class EpochUnderWay:
    """The epoch that is not over: its `batches` so far, and each step's images, mean loss and right answers."""

    batches: int = 0
    seconds: float = 0.0
    sizes: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    correct: list[float] = field(default_factory=list)
    # Still on the device: reading them at each step would make the GPU wait.
    pending: list[torch.Tensor] = field(default_factory=list)

    def add(self, size: int, loss: torch.Tensor, correct: torch.Tensor) -> None:
        """Add a step over `size` images, with its mean loss () and number of right answers ()."""
        self.sizes.append(size)
        self.pending.append(torch.stack((loss, correct.to(loss.dtype))))

    def settle(self) -> None:
        """Read the values that are still on the device."""
        if self.pending:
            losses, correct = torch.stack(self.pending, 1).tolist()
            self.losses += losses
            self.correct += correct
            self.pending.clear()

    def metrics(self) -> dict[str, float]:
        """Return mean loss and accuracy over the images, which are nan without any image, and images per second."""
        self.settle()
        images = sum(self.sizes)
        total = math.fsum(loss * size for loss, size in zip(self.losses, self.sizes, strict=True))
        return {
            "train:loss": total / images if images else math.nan,
            "train:accuracy": sum(self.correct) / images if images else math.nan,
            "train:images_per_second": images / self.seconds if images else 0.0,
        }


@dataclass
class History:
    """The metrics of every complete epoch, and the best one's validation and weights."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    train_losses: list[float] = field(default_factory=list)  # of every step of the complete epochs
    validation_losses: list[list[float]] = field(default_factory=list)  # of every step of every epoch
    validation_means: list[float] = field(default_factory=list)  # over the images of every epoch
    best_epoch: int | None = None
    best: Evaluation | None = None
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)  # the steps after which an interrupted run went on
    under_way: EpochUnderWay = field(default_factory=EpochUnderWay)

    @property
    def epoch(self) -> int:
        """Return the number of the epoch under way, from 1."""
        return len(self.epochs) + 1

    @property
    def best_row(self) -> dict[str, float]:
        """Return the metrics of the best epoch; empty if there is none."""
        return self.epochs[self.best_epoch - 1] if self.best_epoch else {}

    def end_epoch(self, metrics: dict[str, float], validation: Evaluation) -> None:
        """End the epoch under way, with its metrics and its validation."""
        self.epochs.append({"epoch": self.epoch} | metrics)
        self.train_losses += self.under_way.losses
        self.validation_losses.append(validation.step_losses.tolist())
        self.validation_means.append(validation.training_loss)
        self.under_way = EpochUnderWay()

    def state_dict(self) -> History:
        self.under_way.settle()
        return self

    def load_state_dict(self, state: History) -> None:
        if not isinstance(state, History):
            raise TypeError(f"a {type(state).__name__} is not a History")
        vars(self).update(vars(state))
