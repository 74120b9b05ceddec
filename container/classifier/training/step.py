"""One training step: forward, backward and the optimiser, in every process that trains."""

import torch

from classifier.training.compute import Compute
from classifier.training.data.batch import Batch
from classifier.training.optimization import loss_weight
from classifier.training.profiling.profiler import Profiler

# torch's own scale of 65,536 makes the first gradients of a healthy job overflow in fp16, and loses those steps.
FIRST_SCALE = 1024.0


class Step:
    """Trains `network` with `loss` and `optimizer`.

    It wraps the network for several processes, so make it last: the hooks of others need the network itself.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        loss: torch.nn.CrossEntropyLoss,
        optimizer: torch.optim.Optimizer,
        compute: Compute,
        profiler: Profiler,
    ):
        self.network = network
        self.wrapped = compute.group.wrap(network)
        self.loss = loss
        # Copied once: reading them from a GPU at each step would wait for the step before.
        self.class_weights = None if loss.weight is None else loss.weight.cpu()
        self.optimizer = optimizer
        self.compute = compute
        self.profiler = profiler
        self.scaler = torch.GradScaler(compute.device.type, FIRST_SCALE, enabled=compute.dtype is torch.float16)

    def agree(self, batch: Batch) -> tuple[int, float]:
        """Return the number of images in all processes' batches, and the share of this one's in their mean loss.

        The share is 0, and the step is to be left out, if a process has fewer than two images: batch normalisation
        has nothing to average over then.
        """
        weight = loss_weight(self.class_weights, batch.labels)
        mine = torch.tensor([len(batch), len(batch) > 1, weight], dtype=torch.float64)
        images, ready, total = self.compute.group.sum(mine).tolist()
        return int(images), weight / total if ready == self.compute.group.size else 0.0

    def take(self, inputs: torch.Tensor, labels: torch.Tensor, share: float, lr: float) -> torch.Tensor:
        """Learn from a batch whose loss counts for `share`.

        Returns the mean loss and the number of right answers of all processes (2,), on the device.
        """
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = lr
        with self.profiler.timed("forward"):
            with self.compute.autocast():
                logits = self.wrapped(inputs)
            loss = self.loss(logits.float(), labels) * share
        with self.profiler.timed("backward"):
            # DistributedDataParallel takes the mean over the processes, and `loss` is a share of the sum.
            self.scaler.scale(loss * self.compute.group.size).backward()
        with self.profiler.timed("optimizer"):
            self.scaler.unscale_(self.optimizer)  # or the fused optimiser would do it where the hook cannot see it
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
        right = (logits.argmax(1) == labels).sum(dtype=loss.dtype)
        return self.compute.group.sum(torch.stack((loss.detach(), right)))
