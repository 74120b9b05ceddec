import pytest
import torch

from classifier.training.labels import suspects
from classifier.training.labels.suspects import PENALTY, SHARPNESS, find_suspects, leave_one_out


def clusters(n=120, classes=3, wrong=6):
    """Features of well separated classes, labels of which the first `wrong` are wrong, and the true ones."""
    torch.manual_seed(0)
    true = torch.arange(n) % classes
    features = torch.nn.functional.one_hot(true, 8).float() * 4 + torch.randn(n, 8)
    labels = true.clone()
    labels[:wrong] = (labels[:wrong] + 1) % classes
    return features, labels, true


@pytest.mark.parametrize("at_once", [7, 4096])
def test_leaving_one_out_is_the_regression_without_it(monkeypatch, at_once):
    monkeypatch.setattr(suspects, "AT_ONCE", at_once)
    features, labels, _ = clusters(30)
    found = leave_one_out(features, labels, 3)
    scaled = (features - features.mean(0)) / (features.std(0, correction=0) + 1e-6)
    inputs = torch.cat([scaled, torch.ones(30, 1)], 1).double()
    targets = torch.nn.functional.one_hot(labels, 3).double()
    for one in (0, 17):
        others = torch.arange(30) != one
        matrix = inputs[others].T @ inputs[others] + 30 * PENALTY * torch.eye(9)
        scores = inputs[one] @ torch.linalg.solve(matrix, inputs[others].T @ targets[others])
        assert found[one].tolist() == pytest.approx((SHARPNESS * scores).softmax(0).tolist(), abs=1e-5)


def test_wrong_labels_are_suspected_with_the_true_class():
    features, labels, true = clusters()
    found = find_suspects(leave_one_out(features, labels, 3), labels)
    assert {position for position, _ in found[:6]} == set(range(6))
    assert all(likely == true[position] for position, likely in found[:6])
    assert len(found) <= 8


def test_the_surest_comes_first_and_right_labels_are_not_suspected():
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    probabilities = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.05, 0.95], [0.1, 0.9], [0.4, 0.6], [0.35, 0.65]])
    assert find_suspects(probabilities, labels) == [(2, 1), (1, 1)]


def test_a_class_that_is_usually_less_probable_needs_no_more():
    labels = torch.tensor([0, 0, 1, 1])
    probabilities = torch.tensor([[0.6, 0.2, 0.2], [0.3, 0.45, 0.25], [0.3, 0.4, 0.3], [0.3, 0.42, 0.28]])
    assert find_suspects(probabilities, labels) == [(1, 1)]  # class 1 usually has 0.41


def test_a_class_without_images_is_never_likely():
    assert find_suspects(torch.tensor([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]), torch.tensor([0, 1])) == []
