"""trainable=head: the frozen backbone's features of each image are computed once; epochs then use those alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from classifier.layers import FEATURES
from classifier.training.compute import Compute
from classifier.training.data.batch import Batch, make_batch
from classifier.training.data.batches import Batches, ImageBatches
from classifier.training.data.folders import Phase
from classifier.training.data.order import Order
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.progress import progress


class FeatureBatches(Batches):
    """Batches of `phase` in the order of ImageBatches, with features (n, 512) as inputs."""

    def __init__(
        self, phase: Phase, hp: Hyperparameters, backbone: torch.nn.Module, compute: Compute, interrupt: Interrupt
    ):
        self.phase = phase
        self.images = ImageBatches(phase, hp, compute, once=True)
        self.order = Order(len(phase), hp.batch_size, compute.group, hp.seed, shuffle=phase.name == "train")
        self.backbone = backbone
        self.compute = compute
        self.interrupt = interrupt
        self.features: torch.Tensor | None = None
        self.skipped: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """Return the batches of the epoch `number`, without its `first` ones.

        The first epoch computes the features, and may raise Interrupted.
        """
        if self.features is None:
            self.features = self._compute_features()
            self.images.close()
        features = self.features

        def take(positions: torch.Tensor) -> torch.Tensor:
            return features[self.compute.move(positions)]

        self.order.start(number, first)
        for _, positions in self.order:
            yield make_batch(self.phase, positions.tolist(), self.skipped, take)

    def pixels_of(self, positions: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        return self.images.pixels_of(positions)

    def lost_reader(self) -> str | None:
        return self.images.lost_reader()

    def close(self) -> None:
        self.images.close()

    @torch.inference_mode()
    def _compute_features(self) -> torch.Tensor:
        """Return features (images, 512) on the device; those of unreadable images are zero, and in `skipped`."""
        self.backbone.eval()
        features = torch.zeros(len(self.phase), FEATURES, device=self.compute.device)
        label, batches = f"features of {self.phase.name}", self.interrupt.watch(self.images.epoch())
        for batch in progress(batches, label, len(self.images), counted=False):
            self.interrupt.check(self.compute.group.any)
            self.skipped |= batch.skipped
            inputs = self.compute.inputs(batch.inputs)
            with self.compute.autocast():
                features[self.compute.move(batch.positions)] = self.backbone(inputs).float()
        for skipped in self.compute.group.gather(self.skipped):
            self.skipped |= skipped
        return self.compute.group.sum(features)


def open_batches(
    phase: Phase, hp: Hyperparameters, backbone: torch.nn.Module | None, compute: Compute, interrupt: Interrupt
) -> Batches:
    """Return the batches of `phase`: of features if there is a frozen `backbone`, else of images."""
    if backbone:
        return FeatureBatches(phase, hp, backbone, compute, interrupt)
    return ImageBatches(phase, hp, compute, once=phase.name == "test")
