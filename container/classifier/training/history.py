"""How far training is, and what it came to so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from classifier.training.evaluate import Evaluation


@dataclass
class EpochUnderWay:
    """The epoch that is not over: `batches` taken so far, and size, mean loss and right answers of each step."""

    batches: int = 0
    seconds: float = 0.0
    sizes: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    correct: list[float] = field(default_factory=list)
    # Still on the device: reading them at each step would make the GPU wait.
    pending: list[torch.Tensor] = field(default_factory=list)

    def add(self, size: int, loss: torch.Tensor, correct: torch.Tensor) -> None:
        """A step is over, with its mean loss () and number of right answers () over `size` images."""
        self.sizes.append(size)
        self.pending.append(torch.stack((loss, correct.to(loss.dtype))))

    def settle(self) -> None:
        """Read what is still on the device."""
        if self.pending:
            losses, correct = torch.stack(self.pending, 1).tolist()
            self.losses += losses
            self.correct += correct
            self.pending.clear()

    def metrics(self) -> dict[str, float]:
        """Mean loss and accuracy over the images, and images per second; not a number without any image."""
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
    """What training came to: the metrics of every whole epoch, and the best one's validation and weights."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    train_losses: list[float] = field(default_factory=list)  # of every step of the whole epochs
    validation_losses: list[list[float]] = field(default_factory=list)  # of every step of every epoch
    best_epoch: int | None = None
    best: Evaluation | None = None
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)  # the steps after which it was interrupted and went on
    under_way: EpochUnderWay = field(default_factory=EpochUnderWay)

    @property
    def epoch(self) -> int:
        """The number of the epoch under way, from 1."""
        return len(self.epochs) + 1

    def end_epoch(self, metrics: dict[str, float], validation_losses: list[float]) -> None:
        """The epoch under way is over, with these metrics, and validation steps of these losses."""
        self.epochs.append({"epoch": self.epoch} | metrics)
        self.train_losses += self.under_way.losses
        self.validation_losses.append(validation_losses)
        self.under_way = EpochUnderWay()

    def state_dict(self) -> History:
        self.under_way.settle()
        return self

    def load_state_dict(self, state: History) -> None:
        vars(self).update(vars(state))
