"""The training loop: epochs of training and validation, then the test phase with the best epoch's weights."""

import logging
import math
import time
from dataclasses import dataclass

import torch

from classifier.errors import UserError
from classifier.network import ResNet18
from classifier.training.best import BestArtifact
from classifier.training.checkpoint import Checkpoints, Part, RandomState
from classifier.training.compute import Compute
from classifier.training.data.augment import Augmentation
from classifier.training.data.batches import Batches, explained_losses
from classifier.training.data.skipped import SkippedImages
from classifier.training.debugging.debugger import Debugger
from classifier.training.debugging.names import TRAIN_LOSS, VALIDATION_LOSS
from classifier.training.evaluate import Evaluation, evaluate, log_missing_classes
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt, Interrupted
from classifier.training.metrics import MetricsLog
from classifier.training.model import set_training_mode
from classifier.training.optimization import learning_rate
from classifier.training.profiling.job_time import FIRST_BATCHES, SAVING, STEPS, TEST, VALIDATION
from classifier.training.profiling.profiler import Profiler
from classifier.training.progress import progress, time_left
from classifier.training.step import Step
from classifier.weight_values import check_values
from classifier.words import plural

logger = logging.getLogger(__name__)


class Diverged(UserError):
    """The loss is no longer a number."""


@dataclass
class Outcome:
    """The evaluation to report, and how training ended early, if it did.

    The evaluation is that of the test phase or, without one, the best validation. A `failure` fails the job once
    everything that can be said of it is written.
    """

    evaluation: Evaluation | None
    ending: str | None = None
    failure: UserError | OSError | None = None


@dataclass
class Trainer:
    """Trains `model`, of which `step` trains a part or all. `history` says how far it got, also after an interruption.

    `train`, `validation` and `test` are the batches of the phases; there may be no test phase.
    """

    hp: Hyperparameters
    model: ResNet18
    compute: Compute
    train: Batches
    validation: Batches
    test: Batches | None
    step: Step
    history: History
    best_artifact: BestArtifact
    checkpoints: Checkpoints
    metrics_log: MetricsLog
    debugger: Debugger
    profiler: Profiler
    skipped: SkippedImages
    interrupt: Interrupt

    def __post_init__(self):
        self.augmentation = Augmentation(self.hp.augmentation, self.hp.seed)
        self.steps = self.hp.epochs * len(self.train)

    def run(self) -> Outcome:
        """Train and test; after a signal or an error, keep what there is."""
        self.metrics_log.start(self.history.epochs)
        try:
            with explained_losses(self.train, self.validation, self.test):
                self.fit()
                return Outcome(self.evaluate_test() or self.history.best)
        except Interrupted as interrupted:
            return self.keep_what_there_is(interrupted)
        except UserError as error:
            return Outcome(self.history.best, failure=error)

    def count_steps(self) -> tuple[int, int]:
        """Return how many batches the job goes through, at the end each phase for its labels, and how many it has."""
        train, validation, test = len(self.train), len(self.validation), len(self.test) if self.test else 0
        total = (self.hp.epochs + 1) * (train + validation) + 2 * test
        return total, len(self.history.epochs) * (train + validation) + self.history.under_way.batches

    def keep_what_there_is(self, interrupted: Interrupted) -> Outcome:
        try:
            if not self.history.best_epoch:
                self.check_weights()
        except Diverged as error:
            return Outcome(None, failure=error)
        return Outcome(self.history.best, self.best_artifact.keep_what_there_is(interrupted))

    def fit(self) -> None:
        """Train for hp.epochs, or until the objective stops improving.

        Raises Interrupted at the next step after a signal, Diverged if the loss is no longer a number,
        and UserError if a rule that stop_on_rule names has found something.
        """
        try:
            while not self.is_over():
                with self.profiler.span(STEPS):
                    self.train_epoch()
                    training = self.history.under_way.metrics()  # waits for the GPU's last steps
                self.end_epoch(training)
                if self.is_over() or self.checkpoints.is_due(epoch_ended=True):
                    self.save_checkpoint()
        except Interrupted:
            self.save_checkpoint()
            raise

    def is_over(self) -> bool:
        history, patience = self.history, self.hp.early_stopping_patience
        return len(history.epochs) >= self.hp.epochs or 0 < patience <= len(history.epochs) - (history.best_epoch or 0)

    def train_epoch(self) -> None:
        """Train on all images once, or on those that are left of an interrupted epoch."""
        history, epoch, group = self.history, self.history.under_way, self.compute.group
        set_training_mode(self.model, self.hp.trainable)
        self.debugger.set_phase("train")
        with self.profiler.span(FIRST_BATCHES):
            batches = self.train.epoch(history.epoch, epoch.batches)
        mark = time.monotonic()
        bar = progress(self.interrupt.watch(batches), f"epoch {history.epoch}", len(self.train), epoch.batches)
        for batch in self.profiler.batches(bar):
            self.interrupt.check(group.any)
            self.debugger.check_rules()
            self.skipped.add(self.train.phase, batch)
            size, share = self.step.agree(batch)
            if share:
                with self.profiler.timed("copy"):
                    change = self.augmentation.of(history.epoch, epoch.batches * group.size + group.rank)
                    inputs, labels = self.compute.inputs(batch.inputs, change), self.compute.move(batch.labels)
                lr = learning_rate(self.hp.lr, history.steps, self.steps)
                epoch.add(size, *self.step.take(inputs, labels, share, lr))
                history.steps += 1
                self.profiler.step()
            epoch.batches += 1
            epoch.seconds, mark = epoch.seconds + time.monotonic() - mark, time.monotonic()
            if self.checkpoints.is_due(epoch_ended=False):
                self.save_checkpoint()

    def end_epoch(self, training: dict[str, float]) -> None:
        """Validate, and keep the weights if they are the best so far; `training` has the epoch's training metrics."""
        history = self.history
        if not history.under_way.sizes:
            processes = self.compute.group.size
            where = f" in each of the {plural(processes, 'process')}" if processes > 1 else ""
            raise UserError(
                f"no step of epoch {history.epoch} had two readable images{where}; "
                f"accepted: {2 * processes} or more readable images in {self.train.phase.folder}"
            )
        self.check_loss("training", loss := training["train:loss"])
        self.debugger.record_scalar(TRAIN_LOSS, loss)
        with self.profiler.span(VALIDATION):
            validation = self.evaluate(self.validation)
            self.debugger.record_scalar(VALIDATION_LOSS, validation.training_loss)
            self.check_loss("validation", validation.loss)  # the last step may have been the one too far
            self.check_weights()
        self.skipped.check_classes(self.train.phase, self.best_artifact.classes)
        if history.epoch == 1:
            log_missing_classes(validation, self.best_artifact.classes)
        row = training | validation.metrics
        is_best = self.best_artifact.is_beaten_by(validation)
        notes = self.best_artifact.note({"epoch": history.epoch} | row if is_best else history.best_row), time_left()
        self.metrics_log.write(f"epoch {history.epoch}/{self.hp.epochs}", row, notes, epoch=history.epoch)
        if is_best:
            with self.profiler.span(SAVING):
                self.best_artifact.keep(validation, row)
        history.end_epoch(row, validation)
        if self.is_over() and len(history.epochs) < self.hp.epochs:
            logger.info("%s has not improved since epoch %d: stopping early", self.hp.objective, history.best_epoch)

    @property
    def likely_cause(self) -> str:
        """Why numbers become infinite: on older GPUs precision=auto is fp16, which ends at 65,504."""
        is_narrow = self.compute.dtype is torch.float16
        fp16 = ", or the network's values leave the range of fp16; precision=fp32 has a wider one" if is_narrow else ""
        return f"lr={self.hp.lr:g} is likely too high{fp16}"

    def check_loss(self, name: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise Diverged(f"the {name} loss of epoch {self.history.epoch} is {loss}: {self.likely_cause}")

    def check_weights(self) -> None:
        """Raises Diverged if a weight is no number: batch normalisation can hide that from the loss."""
        try:
            weights = {name: tensor.cpu().numpy() for name, tensor in self.model.state_dict().items()}
            check_values(weights, f"the network after {plural(self.history.steps, 'step')}")
        except UserError as error:
            raise Diverged(f"{error}: {self.likely_cause}") from error

    def evaluate(self, batches: Batches, fitted: Evaluation | None = None) -> Evaluation:
        """Evaluate the model as it is on a phase, with what was `fitted` on another."""
        self.debugger.set_phase(batches.phase.name)
        return evaluate(
            *(self.step.network, self.step.loss, batches, self.compute, len(self.best_artifact.classes)),
            *(self.skipped, self.interrupt, fitted),
        )

    def evaluate_test(self) -> Evaluation | None:
        """Load the best epoch's weights, as the artifact has them, and evaluate them on the test phase, if any."""
        best, epoch = self.history.best, self.history.best_epoch
        self.model.load_state_dict(self.history.best_weights)
        if self.test is None or best is None or epoch is None:
            return None
        with self.profiler.span(TEST):
            evaluation = self.evaluate(self.test, best)
        log_missing_classes(evaluation, self.best_artifact.classes)
        self.metrics_log.write(f"test, weights of epoch {epoch}", evaluation.metrics, best_epoch=epoch)
        self.best_artifact.save(self.history.best_row | evaluation.metrics)
        return evaluation

    def resume(self) -> None:
        """Go on from the newest undamaged checkpoint of this run, if there is one.

        Raises UserError if it is of a later epoch than there are to be: its weights are not those of fewer epochs.
        """
        if not self.checkpoints.load(self.state_parts()):
            return
        history = self.history
        reached = len(history.epochs) + (history.under_way.batches > 0)
        if reached > self.hp.epochs:
            raise UserError(
                f"{self.checkpoints.folder} has a checkpoint of epoch {reached} of this run, but epochs is "
                f"{self.hp.epochs}; accepted: {plural(reached, 'epoch')} or more, or without that folder, to train anew"
            )
        history.resumed.append(history.steps)
        epochs, steps = plural(len(history.epochs), "complete epoch"), plural(history.steps, "step")
        done = f"{epochs} of {self.hp.epochs} and {steps} are done"
        logger.info("resumed from %s: %s", self.checkpoints.folder, done)
        self.best_artifact.restore()

    def save_checkpoint(self) -> None:
        if not self.history.steps:
            return
        with self.profiler.span(SAVING):
            self.checkpoints.save(self.history.steps, self.state_parts())

    def state_parts(self) -> dict[str, Part]:
        """Return everything that a checkpoint holds.

        The order of images, their augmentation and the learning rate are functions of seed, epoch and step.
        """
        return {
            "model": self.model,
            "optimizer": self.step.optimizer,
            "scaler": self.step.scaler,
            "random": RandomState(),
            "history": self.history,
            "skipped": self.skipped,
            "profiler": self.profiler,
            "debugger": self.debugger,
        }

    def close(self) -> None:
        """End debugging and the processes that read images.

        Those ignore signals: without this, the end of the program would wait for them forever.
        """
        self.debugger.close()
        for batches in (self.train, self.validation, self.test):
            if batches:
                batches.close()
