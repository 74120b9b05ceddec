"""The training loop: epochs of training and validation, and the best epoch's weights kept as the artifact."""

import logging
import math
import time
from dataclasses import dataclass, field

import torch

from classifier.artifact import Artifact
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training import debugger, profiler
from classifier.training.data import SkippedImages, make_loader
from classifier.training.evaluate import Compute, Evaluation, evaluate
from classifier.training.folders import Dataset
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.metrics import MetricsLog, better
from classifier.training.model import training_mode
from classifier.training.optimization import learning_rate, make_optimizer
from classifier.training.progress import progress

logger = logging.getLogger(__name__)


@dataclass
class History:
    """What training came to: the metrics of every whole epoch, and the best epoch's validation."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    train_losses: list[float] = field(default_factory=list)  # of every step
    validation_losses: list[list[float]] = field(default_factory=list)  # of every step of every epoch
    best_epoch: int | None = None
    best: Evaluation | None = None


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
    ):
        self.contract = contract
        self.hp = hp
        self.dataset = dataset
        self.model = model.to(compute.device)
        self.compute = compute
        self.skipped = skipped
        self.interrupt = interrupt
        self.history = History()
        self.metrics_log = MetricsLog(contract.output_data / "metrics.jsonl")
        self.train_loader = make_loader(dataset.train, hp, compute.device)
        self.validation_loader = make_loader(dataset.validation, hp, compute.device)
        self.loss = make_loss(hp, dataset, compute.device)
        self.optimizer = make_optimizer(self.model, hp)
        self.steps = hp.epochs * len(self.train_loader)
        self.profiler = profiler.create(
            hp.profile, contract.output_data, compute.device, self.steps, len(self.train_loader)
        )
        self.debugger = self.make_debugger()
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.dtype is torch.float16)

    def fit(self) -> None:
        """Train for hp.epochs, or until the objective stops getting better.

        Raises Interrupted at the next step after a signal, Diverged where the loss is no longer a number,
        and UserError where a rule that stop_on_rule names has found something.
        """
        for epoch in range(1, self.hp.epochs + 1):
            metrics = self.train_epoch(epoch)
            self.debugger.record(train_loss=metrics["train:loss"])
            with self.profiler.span("validation"):
                validation = self.evaluate(self.validation_loader)
            self.debugger.record(validation_loss=validation.step_losses.mean())
            self.history.validation_losses.append(validation.step_losses.tolist())
            metrics |= validation.metrics
            self.metrics_log.write(f"epoch {epoch}/{self.hp.epochs}", metrics, epoch=epoch)
            self.history.epochs.append({"epoch": epoch} | metrics)
            if self.is_best(validation):
                self.history.best_epoch, self.history.best = epoch, validation
                with self.profiler.span("saving"):
                    self.save_artifact({"epoch": epoch} | metrics)
            elif 0 < self.hp.early_stopping_patience <= epoch - self.history.best_epoch:
                logger.info("no better %s since epoch %d: stopping", self.hp.objective, self.history.best_epoch)
                break

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training images; their mean loss, accuracy and images per second."""
        training_mode(self.model, self.hp.trainable)
        self.debugger.phase("train")
        self.train_loader.batch_sampler.epoch = epoch
        # Sums stay on the device: reading them each step would make the GPU wait.
        loss_sum, correct = (torch.zeros((), dtype=torch.float64, device=self.compute.device) for _ in range(2))
        step_losses = []
        seen = 0
        started = time.monotonic()
        for batch in self.profiler.batches(progress(self.train_loader, f"epoch {epoch}", len(self.train_loader))):
            self.interrupt.check()
            self.debugger.check()
            self.skipped.add(self.dataset.train, batch)
            if len(batch) < 2:  # batch normalisation of one image at a small image_size has nothing to average
                continue
            with self.profiler.timed("copy"):
                inputs, labels = self.compute.move(batch)
            loss, logits = self.train_step(inputs, labels)
            step_losses.append(loss)
            loss_sum += loss * len(batch)
            correct += (logits.argmax(1) == labels).sum()
            seen += len(batch)
            self.profiler.step()
        self.history.train_losses += torch.stack(step_losses).tolist() if step_losses else []
        mean_loss = loss_sum.item() / max(1, seen)
        if not math.isfinite(mean_loss) or not seen:
            raise Diverged(f"the training loss of epoch {epoch} is {mean_loss}: lr={self.hp.lr:g} is likely too high")
        return {
            "train:loss": mean_loss,
            "train:accuracy": correct.item() / seen,
            "train:images_per_second": seen / (time.monotonic() - started),
        }

    def train_step(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimiser step; its loss () and logits (n, classes), detached."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.hp.lr, self.history.steps, self.steps)
        with self.profiler.timed("forward"):
            with self.compute.autocast():
                logits = self.model(inputs)
            loss = self.loss(logits.float(), labels)
        with self.profiler.timed("backward"):
            self.scaler.scale(loss).backward()
        with self.profiler.timed("optimizer"):
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
        self.history.steps += 1
        return loss.detach(), logits.detach()

    def evaluate(self, loader: torch.utils.data.DataLoader) -> Evaluation:
        self.debugger.phase(loader.dataset.phase.name)
        classes = len(self.dataset.classes)
        return evaluate(self.model, self.loss, loader, self.compute, classes, self.skipped, self.interrupt)

    def make_debugger(self) -> debugger.Debugger:
        test = -(-len(self.dataset.test) // self.hp.batch_size) if self.dataset.test else 0
        return debugger.create(
            self.contract,
            self.hp,
            self.model,
            self.loss,
            self.optimizer,
            {"train": self.steps, "eval": self.hp.epochs * len(self.validation_loader) + test},
            math.log(len(self.dataset.classes)),
            self.profiler,
        )

    def is_best(self, validation: Evaluation) -> bool:
        best = self.history.best and self.history.best.metrics[self.hp.objective]
        return better(self.hp.objective, validation.metrics[self.hp.objective], best)

    def close(self) -> None:
        """End debugging and the processes that read images, whatever may still refer to this trainer.

        Left to the end of the program, these processes, which ignore signals, would be waited for without end.
        """
        self.debugger.close()
        self.train_loader = self.validation_loader = None

    def save_artifact(self, metrics: dict[str, float]) -> None:
        """Write the model as it is now to the contract's model folder."""
        artifact = Artifact(
            classes=self.dataset.classes,
            image_size=self.hp.image_size,
            eps=self.hp.eps,
            hyperparameters=vars(self.hp),
            metrics=metrics,
        )
        artifact.save(self.contract.model, self.model.state_dict())


def make_loss(hp: Hyperparameters, dataset: Dataset, device: torch.device) -> torch.nn.Module:
    """Cross entropy; with class_weights=balanced a class counts n / (classes * its images)."""
    weight = None
    if hp.class_weights == "balanced":
        counts = torch.bincount(torch.tensor(dataset.train.labels), minlength=len(dataset.classes))
        weight = (len(dataset.train) / (len(dataset.classes) * counts)).to(device)
    return torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=hp.label_smoothing)
