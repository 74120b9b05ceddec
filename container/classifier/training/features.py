"""trainable=head: what the frozen backbone makes of each image is computed once, and epochs pass over that alone."""

from collections.abc import Iterator

import torch

from classifier.training.compute import Compute
from classifier.training.data.batches import Batch, EpochBatches, ImageBatches
from classifier.training.data.folders import Phase
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.progress import progress


class FeatureBatches:
    """The batches of `phase` in the order of ImageBatches, with features (n, 512) in the place of pixels."""

    def __init__(
        self, phase: Phase, hp: Hyperparameters, backbone: torch.nn.Module, compute: Compute, interrupt: Interrupt
    ):
        self.phase = phase
        self.images = ImageBatches(phase, hp, compute.device, once=True, group=compute.group)
        self.order = EpochBatches(len(phase), hp.batch_size, phase.name == "train", hp.seed, compute.group)
        self.backbone = backbone
        self.compute = compute
        self.interrupt = interrupt
        self.skipped: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from the one after its `first` on. Raises Interrupted in the first one."""
        if self.images:
            self.features = self._compute(self.images)
            self.images = None  # and with it the processes that read images
        labels = torch.tensor(self.phase.labels)
        self.order.start(number, first)
        for keys in self.order:
            all_positions = [position for _, position in keys]
            skipped = {position: self.skipped[position] for position in all_positions if position in self.skipped}
            positions = torch.tensor([position for position in all_positions if position not in skipped])
            yield Batch(self.features[positions.to(self.features.device)], labels[positions], positions, skipped)

    def close(self) -> None:
        """End the processes that read images, if there are any."""
        if self.images:
            self.images.close()

    @torch.inference_mode()
    def _compute(self, images: ImageBatches) -> torch.Tensor:
        """Features of every image, on the device; those of unreadable ones are zero, and in `skipped`."""
        self.backbone.eval()
        features = None
        for batch in progress(images.epoch(), f"features of {self.phase.name}", len(images)):
            self.interrupt.check()
            self.skipped |= batch.skipped
            inputs, _ = self.compute.move(batch)
            with self.compute.autocast():
                outputs = self.backbone(inputs).float()
            if features is None:
                features = outputs.new_zeros(len(self.phase), outputs.shape[1])
            features[batch.positions.to(features.device)] = outputs
        for skipped in self.compute.group.gather(self.skipped):
            self.skipped |= skipped
        return self.compute.group.sum(features)
