"""The training loop: epochs of training and validation, and the best epoch's weights kept as the artifact."""

import logging
import math
import os
import time
from pathlib import Path

import torch

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.best import Best
from classifier.training.checkpoint import Checkpoints, RandomState
from classifier.training.compute import Compute
from classifier.training.data.augment import Augmentation
from classifier.training.data.batches import ImageBatches, SkippedImages
from classifier.training.data.folders import Dataset
from classifier.training.debugging import debugger
from classifier.training.evaluate import Evaluation
from classifier.training.features import FeatureBatches
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt, Interrupted
from classifier.training.metrics import MetricsLog
from classifier.training.model import training_mode
from classifier.training.optimization import learning_rate, make_loss, make_optimizer
from classifier.training.phases import Phases
from classifier.training.profiling import profiler
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
        self.best = Best(contract, hp, dataset.classes, self.model, self.history, self.is_first)
        self.phases = Phases(hp, self.model, compute, skipped, interrupt)
        self.augmentation = Augmentation(hp.augmentation, hp.seed)
        self.train_batches = self.phases.batches_of(dataset.train)
        self.validation_batches = self.phases.batches_of(dataset.validation)
        self.loss = make_loss(hp, dataset, compute.device)
        self.optimizer = make_optimizer(self.model, hp)
        self.steps = hp.epochs * len(self.train_batches)
        mode = hp.profile if self.is_first else "off"
        self.profiler = profiler.create(mode, contract.output_data, compute.device, self.steps, len(self.train_batches))
        self.debugger = self.make_debugger()
        self.step = Step(self.phases.network, self.loss, self.optimizer, compute, self.profiler)
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
        if self.best.is_beaten_by(validation):
            with self.profiler.span("saving"):
                self.best.keep(validation, metrics)
        history.end_epoch(metrics, validation.step_losses.tolist())
        if self.is_over() and len(history.epochs) < self.hp.epochs:
            logger.info("no better %s since epoch %d: stopping", self.hp.objective, history.best_epoch)

    def evaluate(self, batches: ImageBatches | FeatureBatches) -> Evaluation:
        self.debugger.phase(batches.phase.name)
        temperature = self.history.best.temperature if batches.phase.name == "test" else None
        return self.phases.evaluate(batches, self.loss, len(self.dataset.classes), temperature)

    def make_debugger(self) -> debugger.Debugger:
        test = -(-len(self.dataset.test) // self.hp.batch_size) if self.dataset.test else 0
        return debugger.create(
            self.contract,
            self.hp,
            self.phases.network,
            self.loss,
            self.optimizer,
            {"train": self.steps, "eval": self.hp.epochs * len(self.validation_batches) + test},
            math.log(len(self.dataset.classes)),
            self.profiler,
        )

    def resume(self) -> None:
        """Go on from the newest good checkpoint of this run, if there is one."""
        if not self.checkpoints.load(self.parts):
            return
        history = self.history
        history.resumed.append(history.steps)
        self.metrics_log.restore(history.epochs)
        done = f"{len(history.epochs)} whole epochs of {self.hp.epochs} and {history.steps} steps are done"
        logger.info("resumed from %s: %s", self.checkpoints.folder, done)
        self.best.restore()

    def save_checkpoint(self) -> None:
        if not self.history.steps:
            return
        with self.profiler.span("saving"):
            self.checkpoints.save(self.history.steps, self.parts)

    def close(self) -> None:
        """End debugging and the processes that read images."""
        self.debugger.close()
        self.phases.close()
