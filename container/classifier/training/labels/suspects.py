"""Labels that may be wrong, by each image's probabilities.

A label is suspected if another class is as probable as it is on average for images of that class, as in confident
learning (Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021), or more probable than
all others together.
"""

import torch

# Of the classifier's weights, on features of unit variance; and what makes its scores, from 0 to 1, logits.
PENALTY = 0.1
SHARPNESS = 8.0
CERTAIN = 0.5


def leave_one_out(features: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return each image's probabilities (n, classes) by a linear classifier of all other images' `features` (n, f).

    For ridge regression that takes one solution instead of n: its residuals, divided by 1 - leverage, are those of the
    regressions without each image.
    """
    n = len(labels)
    scaled = (features - features.mean(0)) / (features.std(0, correction=0) + 1e-6)
    inputs = torch.cat([scaled, torch.ones(n, 1)], 1).double()
    targets = torch.nn.functional.one_hot(labels, classes).double()
    matrix = inputs.T @ inputs / n + PENALTY * torch.eye(inputs.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(matrix, inputs.T) / n
    leverage = (inputs * solved.T).sum(1, keepdim=True)
    scores = (inputs @ (solved @ targets) - leverage * targets) / (1 - leverage)
    return (SHARPNESS * scores).softmax(1).float()


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
