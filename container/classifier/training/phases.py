"""The phases of a data set, as batches that the network takes, and their evaluation."""

import torch

from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches, SkippedImages
from classifier.training.data.folders import Phase
from classifier.training.evaluate import Evaluation, evaluate
from classifier.training.features import FeatureBatches
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.model import split


class Phases:
    """Opens phases for `network`, which is `model` or, with trainable=head, its last layer alone."""

    def __init__(
        self,
        hp: Hyperparameters,
        model: torch.nn.Module,
        compute: Compute,
        skipped: SkippedImages,
        interrupt: Interrupt,
    ):
        self.hp = hp
        self.backbone, self.network = split(model, hp.trainable)
        self.compute = compute
        self.skipped = skipped
        self.interrupt = interrupt
        self.opened: list[ImageBatches | FeatureBatches] = []

    def batches_of(self, phase: Phase) -> ImageBatches | FeatureBatches:
        """The batches of `phase`: of images, or of what the frozen backbone makes of them."""
        if self.backbone:
            batches = FeatureBatches(phase, self.hp, self.backbone, self.compute, self.interrupt)
        else:
            batches = ImageBatches(phase, self.hp, self.compute.device, phase.name == "test", self.compute.group)
        self.opened.append(batches)
        return batches

    def evaluate(
        self,
        batches: ImageBatches | FeatureBatches,
        loss: torch.nn.Module,
        classes: int,
        temperature: float | None = None,
    ) -> Evaluation:
        """As evaluate.evaluate. Raises Interrupted, and UserError where too many images are unreadable."""
        return evaluate(self.network, loss, batches, self.compute, classes, self.skipped, self.interrupt, temperature)

    def close(self) -> None:
        """End the processes that read images.

        Left to the end of the program, these processes, which ignore signals, would be waited for without end.
        """
        for batches in self.opened:
            batches.close()
