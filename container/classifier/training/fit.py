"""The training loop: epochs of training and validation, and the best epoch's weights kept as the artifact."""

import logging
import math
import os
import time
from pathlib import Path

import torch

from classifier.artifact import Artifact
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training import debugger, profiler
from classifier.training.augment import Augmentation
from classifier.training.checkpoint import Checkpoints, RandomState
from classifier.training.data import ImageBatches, SkippedImages
from classifier.training.evaluate import Compute, Evaluation, evaluate
from classifier.training.features import FeatureBatches
from classifier.training.folders import Dataset, Phase
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt, Interrupted
from classifier.training.metrics import MetricsLog, better
from classifier.training.model import split, training_mode
from classifier.training.optimization import learning_rate, make_loss, make_optimizer
from classifier.training.progress import progress
from classifier.training.step import Step

logger = logging.getLogger(__name__)


class Diverged(UserError):
    """The loss is no longer a number."""


class Trainer:
    """Trains `model` on `dataset`; `history` says how far it came, also when it was interrupted."""

    def __init__(
        self,
        contract: Contract,
        hp: Hyperparameters,
        dataset: Dataset,
        model: torch.nn.Module,
        compute: Compute,
        skipped: SkippedImages,
        interrupt: Interrupt,
        checkpoints: Checkpoints,
    ):
        self.contract = contract
        self.hp = hp
        self.dataset = dataset
        self.model = model.to(compute.device)
        self.compute = compute
        self.group = compute.group
        self.skipped = skipped
        self.interrupt = interrupt
        self.checkpoints = checkpoints
        self.history = History()
        self.metrics_log = MetricsLog(contract.output_data / "metrics.jsonl" if self.is_first else Path(os.devnull))
        self.backbone, self.network = split(self.model, hp.trainable)
        self.opened: list[ImageBatches | FeatureBatches] = []
        self.augmentation = Augmentation(hp.augmentation, hp.seed)
        self.train_batches = self.batches_of(dataset.train)
        self.validation_batches = self.batches_of(dataset.validation)
        self.loss = make_loss(hp, dataset, compute.device)
        self.optimizer = make_optimizer(self.model, hp)
        self.steps = hp.epochs * len(self.train_batches)
        self.profiler = profiler.create(
            hp.profile if self.is_first else "off",
            contract.output_data,
            compute.device,
            self.steps,
            len(self.train_batches),
        )
        self.debugger = self.make_debugger()
        self.step = Step(self.network, self.loss, self.optimizer, compute, self.profiler)
        # All that a checkpoint holds. What is random in the data, and the learning rate, depend on seed and step alone.
        self.parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scaler": self.step.scaler,
            "random": RandomState(),
            "history": self.history,
            "skipped": self.skipped,
            "debugger": self.debugger,
            "profiler": self.profiler,
        }

    def fit(self) -> None:
        """Train for hp.epochs, or until the objective stops getting better, from where a checkpoint left off.

        Raises Interrupted at the next step after a signal, Diverged where the loss is no longer a number,
        and UserError where a rule that stop_on_rule names has found something.
        """
        self.resume()
        try:
            while not self.is_over():
                self.train_epoch()
                self.end_epoch(self.history.under_way.metrics())
                if self.is_over() or self.checkpoints.is_due(epoch_ended=True):
                    self.save_checkpoint()
        except Interrupted:
            self.save_checkpoint()
            raise

    @property
    def is_first(self) -> bool:
        """Whether this process writes and logs."""
        return self.group.is_first

    def is_over(self) -> bool:
        history, patience = self.history, self.hp.early_stopping_patience
        return len(history.epochs) >= self.hp.epochs or 0 < patience <= len(history.epochs) - (history.best_epoch or 0)

    def train_epoch(self) -> None:
        """One pass over the training images, or over those that are left of it."""
        history, epoch = self.history, self.history.under_way
        training_mode(self.model, self.hp.trainable)
        self.debugger.phase("train")
        batches = self.train_batches.epoch(history.epoch, epoch.batches)
        label, total = f"epoch {history.epoch}", len(self.train_batches)
        mark = time.monotonic()
        for batch in self.profiler.batches(progress(batches, label, total, epoch.batches)):
            self.interrupt.check()
            self.debugger.check()
            self.skipped.add(self.dataset.train, batch)
            size, share = self.step.agree(batch)
            if share:
                with self.profiler.timed("copy"):
                    change = self.augmentation.of(history.epoch, epoch.batches * self.group.size + self.group.rank)
                    inputs, labels = self.compute.move(batch, change)
                lr = learning_rate(self.hp.lr, history.steps, self.steps)
                epoch.add(size, *self.step.take(inputs, labels, share, lr))
                history.steps += 1
                self.profiler.step()
            epoch.batches += 1
            epoch.seconds, mark = epoch.seconds + time.monotonic() - mark, time.monotonic()
            if self.checkpoints.is_due(epoch_ended=False):
                self.save_checkpoint()

    def end_epoch(self, metrics: dict[str, float]) -> None:
        """Validate, and keep the weights if they are the best so far; `metrics` are those of training."""
        history = self.history
        if not math.isfinite(loss := metrics["train:loss"]):
            raise Diverged(
                f"the training loss of epoch {history.epoch} is {loss}: lr={self.hp.lr:g} is likely too high"
            )
        self.debugger.record(train_loss=loss)
        with self.profiler.span("validation"):
            validation = self.evaluate(self.validation_batches)
        self.debugger.record(validation_loss=validation.step_losses.mean())
        metrics |= validation.metrics
        self.metrics_log.write(f"epoch {history.epoch}/{self.hp.epochs}", metrics, epoch=history.epoch)
        if self.is_best(validation):
            history.best_epoch, history.best = history.epoch, validation
            history.best_weights = {name: tensor.cpu().clone() for name, tensor in self.model.state_dict().items()}
            with self.profiler.span("saving"):
                self.save_artifact({"epoch": history.epoch} | metrics)
        history.end_epoch(metrics, validation.step_losses.tolist())
        if self.is_over() and len(history.epochs) < self.hp.epochs:
            logger.info("no better %s since epoch %d: stopping", self.hp.objective, history.best_epoch)

    def batches_of(self, phase: Phase) -> ImageBatches | FeatureBatches:
        """The batches of `phase` that the network takes: of images, or of what the frozen backbone makes of them."""
        if self.backbone:
            batches = FeatureBatches(phase, self.hp, self.backbone, self.compute, self.interrupt)
        else:
            batches = ImageBatches(phase, self.hp, self.compute.device, phase.name == "test", self.group)
        self.opened.append(batches)
        return batches

    def evaluate(self, batches: ImageBatches | FeatureBatches) -> Evaluation:
        self.debugger.phase(batches.phase.name)
        classes = len(self.dataset.classes)
        temperature = self.history.best.temperature if batches.phase.name == "test" else None
        return evaluate(
            self.network, self.loss, batches, self.compute, classes, self.skipped, self.interrupt, temperature
        )

    def make_debugger(self) -> debugger.Debugger:
        test = -(-len(self.dataset.test) // self.hp.batch_size) if self.dataset.test else 0
        return debugger.create(
            self.contract,
            self.hp,
            self.network,
            self.loss,
            self.optimizer,
            {"train": self.steps, "eval": self.hp.epochs * len(self.validation_batches) + test},
            math.log(len(self.dataset.classes)),
            self.profiler,
        )

    def is_best(self, validation: Evaluation) -> bool:
        best = self.history.best and self.history.best.metrics[self.hp.objective]
        return better(self.hp.objective, validation.metrics[self.hp.objective], best)

    def resume(self) -> None:
        """Go on from the newest good checkpoint of this run, if there is one."""
        if not self.checkpoints.load(self.parts):
            return
        history = self.history
        history.resumed.append(history.steps)
        self.metrics_log.restore(history.epochs)
        logger.info(
            "resumed from %s: %d whole epochs of %d and %d steps are done",
            self.checkpoints.folder,
            len(history.epochs),
            self.hp.epochs,
            history.steps,
        )
        if history.best_epoch:
            self.save_artifact(history.epochs[history.best_epoch - 1], history.best_weights)

    def save_checkpoint(self) -> None:
        if not self.history.steps:
            return
        with self.profiler.span("saving"):
            self.checkpoints.save(self.history.steps, self.parts)

    def close(self) -> None:
        """End debugging and the processes that read images.

        Left to the end of the program, these processes, which ignore signals, would be waited for without end.
        """
        self.debugger.close()
        for batches in self.opened:
            batches.close()

    def save_artifact(self, metrics: dict[str, float], weights: dict[str, torch.Tensor] | None = None) -> None:
        """Write `weights`, or the model as it is now, to the contract's model folder."""
        if not self.is_first:
            return
        artifact = Artifact(
            classes=self.dataset.classes,
            image_size=self.hp.image_size,
            eps=self.hp.eps,
            hyperparameters=vars(self.hp),
            metrics=metrics,
            temperature=self.history.best.temperature if self.history.best else 1.0,
        )
        artifact.save(self.contract.model, weights or self.model.state_dict())
