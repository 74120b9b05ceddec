"""Labels that may be wrong, by each image's probabilities.

A label is suspected if another class is as probable as it is on average for images of that class, as in confident
learning (Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021), or more probable than
all others together.
"""

from collections.abc import Iterator

import torch

# Of the classifier's weights, on features of unit variance; and what makes its scores, from 0 to 1, logits.
PENALTY = 0.1
SHARPNESS = 8.0
CERTAIN = 0.5
# Images whose features are doubled in precision at once: 17 MB.
AT_ONCE = 4096


def leave_one_out(features: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return each image's probabilities (n, classes) by a linear classifier of all other images' `features` (n, f).

    For ridge regression that takes one solution instead of n: its residuals, divided by 1 - leverage, are those of the
    regressions without each image.
    """
    deviation, mean = torch.std_mean(features, 0, correction=0)
    n, size = len(labels), features.shape[1] + 1

    def parts() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield inputs and targets of images, in double precision: of a few images at once, since of all it is much."""
        for own, given in zip(features.split(AT_ONCE), labels.split(AT_ONCE), strict=True):
            scaled = torch.cat([(own - mean) / (deviation + 1e-6), torch.ones(len(own), 1)], 1)
            yield scaled.double(), torch.nn.functional.one_hot(given, classes).double()

    matrix = n * PENALTY * torch.eye(size, dtype=torch.float64)
    products = torch.zeros(size, classes, dtype=torch.float64)
    for inputs, targets in parts():
        matrix += inputs.T @ inputs
        products += inputs.T @ targets
    inverse = torch.linalg.inv(matrix)
    weights, probabilities = inverse @ products, []
    for inputs, targets in parts():
        leverage = (inputs @ inverse * inputs).sum(1, keepdim=True)
        scores = (inputs @ weights - leverage * targets) / (1 - leverage)
        probabilities.append((SHARPNESS * scores).softmax(1).float())
    return torch.cat(probabilities)


def find_suspects(probabilities: torch.Tensor, labels: torch.Tensor) -> list[tuple[int, int]]:
    """Return position and likely class of each image whose label may be wrong, the surest first.

    `probabilities` is (n, classes), `labels` (n,).
    """
    n, classes = probabilities.shape
    rows = torch.arange(n)
    own = probabilities[rows, labels]
    counts = torch.bincount(labels, minlength=classes)
    usual = torch.zeros(classes).index_add_(0, labels, own) / counts.clamp(min=1)
    usual.clamp_(max=CERTAIN)
    usual[counts == 0] = 1.0
    others = probabilities.clone()
    others[rows, labels] = 0.0
    others[others < usual] = 0.0
    probable, likely = others.max(1)
    suspected = (probable > own).nonzero().flatten()
    order = own[suspected].argsort(stable=True)
    return [(int(one), int(likely[one])) for one in suspected[order]]
