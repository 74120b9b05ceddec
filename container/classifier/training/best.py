"""The artifact of the best epoch so far: chosen by the objective, kept in the history, written to the model folder."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from classifier.artifact import Artifact
from classifier.training import metrics
from classifier.training.artifact_files import remove_partial_files, save_artifact
from classifier.training.evaluate import Evaluation
from classifier.training.familiarity import SHARE, Familiarity
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupted
from classifier.training.metrics import better, finite
from classifier.unlikeness import Unlikeness
from classifier.words import plural

logger = logging.getLogger(__name__)


class BestArtifact:
    """Keeps the best epoch's weights of `model`; writes the artifact to `folder`, unless that is None."""

    def __init__(
        self,
        folder: Path | None,
        hp: Hyperparameters,
        classes: tuple[str, ...],
        model: torch.nn.Module,
        history: History,
    ):
        if folder and folder.exists():
            remove_partial_files(folder)
        self.folder = folder
        self.hp = hp
        self.classes = classes
        self.model = model
        self.history = history

    def is_beaten_by(self, validation: Evaluation) -> bool:
        """Return whether `validation` is better than the best epoch's."""
        best = self.history.best
        return better(self.hp.objective, validation.metrics, best and best.metrics)

    def note(self, row: Mapping[str, float]) -> str:
        """Return the objective in the metrics of the best epoch and its number, such as "best 27.0 (3)"."""
        value = row[self.hp.objective]
        shown = f"{100 * value:.1f}" if self.hp.objective.endswith("accuracy") else f"{value:.3g}"
        return f"best {shown} ({row['epoch']:.0f})"

    def keep(self, validation: Evaluation, metrics: Mapping[str, float]) -> None:
        """Make the epoch under way, with its `validation` and all its `metrics`, the best."""
        history = self.history
        history.best_epoch, history.best = history.epoch, validation
        history.best_weights = {name: tensor.cpu().clone() for name, tensor in self.model.state_dict().items()}
        self.save({"epoch": history.epoch} | dict(metrics))

    def keep_what_there_is(self, interrupted: Interrupted) -> str:
        """After a signal, save the last step's weights if there is no best epoch. Return what was kept."""
        history = self.history
        if history.best_epoch:
            kept = f"the artifact has the weights of epoch {history.best_epoch}"
        elif history.steps:
            self.save({})
            kept = f"no epoch was completed, so the artifact has the weights of step {history.steps}, not validated"
        else:
            kept = "no step was completed, so there is no artifact"
        ending = f"stopped by {interrupted} after {plural(len(history.epochs), 'complete epoch')}: {kept}"
        logger.warning("%s", ending)
        return ending

    def log_metrics(self) -> None:
        """Log the best epoch's metrics at the end: a tuning job judges by the last value in the log."""
        if row := self.history.best_row:
            metrics.log_metrics(
                f"best epoch, {self.history.best_epoch}", {name: row[name] for name in metrics.OBJECTIVES}
            )

    def restore(self) -> None:
        """Write the artifact again after an interruption, if there was a best epoch."""
        if row := self.history.best_row:
            self.save(row)

    def save(self, metrics: Mapping[str, float]) -> None:
        """Write the artifact with `metrics`: the best weights, or the model's if no epoch is complete."""
        if self.folder is None:
            return
        best = self.history.best
        familiarity = best.familiarity if best else Familiarity()
        about = Artifact(
            classes=self.classes,
            image_size=self.hp.image_size,
            eps=self.hp.eps,
            hyperparameters=vars(self.hp),
            metrics=finite(metrics),
            temperature=best.temperature if best else 1.0,
            unlikeness=Unlikeness(SHARE, familiarity.images) if familiarity.measure else None,
        )
        weights = self.history.best_weights or self.model.state_dict()
        save_artifact(self.folder, about, weights, familiarity.measure)
