"""One training step: forward, backward and the optimiser, in every process that trains."""

import torch

from classifier.training.compute import Compute
from classifier.training.data.batches import Batch
from classifier.training.optimization import loss_weight
from classifier.training.profiling.profiler import Profiler


class Step:
    """Trains `network` with `loss` and `optimizer`; wraps them last, so that others' hooks see the network itself."""

    def __init__(
        self,
        network: torch.nn.Module,
        loss: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        compute: Compute,
        profiler: Profiler,
    ):
        self.network = compute.group.wrap(network)
        self.loss = loss
        self.optimizer = optimizer
        self.compute = compute
        self.profiler = profiler
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.dtype is torch.float16)

    def agree(self, batch: Batch) -> tuple[int, float]:
        """The images of all processes' batches, and the share that this one's have in their mean loss: 1 if alone.

        It is 0, and the step left out, where one has fewer than two: batch normalisation has nothing to average then.
        """
        weight = loss_weight(self.loss, batch.labels)
        mine = torch.tensor([len(batch), len(batch) > 1, weight], dtype=torch.float64)
        images, ready, total = self.compute.group.sum(mine).tolist()
        return int(images), weight / total if ready == self.compute.group.size else 0.0

    def take(self, inputs: torch.Tensor, labels: torch.Tensor, share: float, lr: float) -> torch.Tensor:
        """Learn from a batch whose loss counts for `share`; all processes' mean loss and right answers (2,)."""
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = lr
        with self.profiler.timed("forward"):
            with self.compute.autocast():
                logits = self.network(inputs)
            loss = self.loss(logits.float(), labels) * share
        with self.profiler.timed("backward"):
            self.scaler.scale(loss * self.compute.group.size).backward()  # whose mean over the processes is taken
        with self.profiler.timed("optimizer"):
            self.scaler.unscale_(self.optimizer)  # or the fused optimiser would do it where the hook cannot see it
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
        right = (logits.argmax(1) == labels).sum(dtype=loss.dtype)
        return self.compute.group.sum(torch.stack((loss.detach(), right)))
