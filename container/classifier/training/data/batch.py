"""A batch: the images of one step of one process, of which unreadable ones are left out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from classifier.training.data.folders import Phase


@dataclass
class Batch:
    """`inputs` (n, ...), int64 `labels` (n,) and int64 `positions` in the phase (n,).

    The inputs are uint8 pixels (n, size, size, 3), or float32 features (n, 512). `skipped` maps the positions of
    unreadable images, which are not among the n, to the reason.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    skipped: dict[int, str]

    def __len__(self) -> int:
        return len(self.labels)


def make_batch(
    phase: Phase,
    positions: Sequence[int],
    skipped: Mapping[int, str],
    read_inputs: Callable[[torch.Tensor], torch.Tensor],
) -> Batch:
    """Return the batch of the images at `positions`, without those that are `skipped`.

    `read_inputs` gets the int64 positions (n,) of the others and returns their inputs (n, ...); n may be 0.
    """
    readable = torch.tensor([position for position in positions if position not in skipped], dtype=torch.int64)
    return Batch(
        inputs=read_inputs(readable),
        labels=torch.tensor([phase.labels[position] for position in readable.tolist()], dtype=torch.int64),
        positions=readable,
        skipped={position: skipped[position] for position in positions if position in skipped},
    )
