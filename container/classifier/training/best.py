"""The best epoch so far: chosen by the objective, kept in the history, and written as the artifact."""

from collections.abc import Mapping

import torch

from classifier.artifact import Artifact
from classifier.contract import Contract
from classifier.training.evaluate import Evaluation
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.metrics import better


class Best:
    """Keeps `model` as it is at its best; only where it `writes` is there an artifact too."""

    def __init__(
        self,
        contract: Contract,
        hp: Hyperparameters,
        classes: tuple[str, ...],
        model: torch.nn.Module,
        history: History,
        writes: bool,
    ):
        self.folder = contract.model
        self.hp = hp
        self.classes = classes
        self.model = model
        self.history = history
        self.writes = writes

    def is_beaten_by(self, validation: Evaluation) -> bool:
        best = self.history.best and self.history.best.metrics[self.hp.objective]
        return better(self.hp.objective, validation.metrics[self.hp.objective], best)

    def keep(self, validation: Evaluation, metrics: Mapping[str, float]) -> None:
        """The epoch under way, with this validation and these metrics of it all, is the best."""
        history = self.history
        history.best_epoch, history.best = history.epoch, validation
        history.best_weights = {name: tensor.cpu().clone() for name, tensor in self.model.state_dict().items()}
        self.save({"epoch": history.epoch} | metrics)

    def restore(self) -> None:
        """Write the artifact once more, after an interruption, if there was a best epoch."""
        if self.history.best_epoch:
            self.save(self.history.epochs[self.history.best_epoch - 1])

    def save(self, metrics: Mapping[str, float]) -> None:
        """Write the artifact with `metrics`: the best weights, or the model as it is now where no epoch was whole."""
        if not self.writes:
            return
        artifact = Artifact(
            classes=self.classes,
            image_size=self.hp.image_size,
            eps=self.hp.eps,
            hyperparameters=vars(self.hp),
            metrics=metrics,
            temperature=self.history.best.temperature if self.history.best else 1.0,
        )
        artifact.save(self.folder, self.history.best_weights or self.model.state_dict())
