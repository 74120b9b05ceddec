import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from classifier.training.calibration import BINS, HIGHEST, LOWEST, calibration_error, fit_temperature


def sample(temperature, count=20_000, classes=5, seed=0):
    """Logits whose probabilities are right once they are divided by `temperature`, and labels drawn from these."""
    random = np.random.default_rng(seed)
    true = torch.from_numpy(random.normal(0, 2, (count, classes)))
    labels = torch.distributions.Categorical(logits=true)
    torch.manual_seed(seed)
    return (true * temperature).float(), labels.sample()


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.5])
def test_it_finds_the_temperature_that_the_labels_were_drawn_with(temperature):
    logits, labels = sample(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    losses = [torch.nn.functional.cross_entropy(logits / t, labels) for t in (0.95 * found, found, 1.05 * found)]
    assert losses[1] == min(losses)


def test_the_error_falls_to_nearly_nothing():
    logits, labels = sample(2.5)
    assert calibration_error(logits, labels, 1.0) > 0.1
    assert calibration_error(logits, labels, fit_temperature(logits, labels)) < 0.02


def test_the_error_is_the_mean_gap_between_confidence_and_accuracy():
    """Four answers with confidence 0.8, half of them right: 0.3 apart."""
    logits = torch.tensor([[math.log(4.0), 0.0]]).repeat(4, 1)
    assert calibration_error(logits, torch.tensor([0, 0, 1, 1]), 1.0) == pytest.approx(0.3, abs=1e-5)


@given(
    st.integers(1, 60), st.integers(2, 20), st.floats(1e-3, 30), st.floats(LOWEST, HIGHEST), st.integers(0, 2**32 - 1)
)
def test_the_error_agrees_with_its_definition_image_by_image(images, classes, scale, temperature, seed):
    random = np.random.default_rng(seed)
    logits, labels = random.normal(0, scale, (images, classes)), random.integers(0, classes, images)
    bins = [[] for _ in range(BINS)]
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        powers = [math.exp((logit - max(row)) / temperature) for logit in row]
        confidence = max(powers) / sum(powers)
        (in_bin,) = (number for number in range(BINS) if number / BINS < confidence <= (number + 1) / BINS)
        bins[in_bin].append((confidence, row.index(max(row)) == label))
    expected = 0.0
    for members in filter(None, bins):
        confidences, correct = zip(*members, strict=True)
        gap = abs(sum(correct) / len(members) - sum(confidences) / len(members))
        expected += len(members) / images * gap
    found = calibration_error(torch.from_numpy(logits), torch.from_numpy(labels), temperature)
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0 <= found <= 1


def test_it_stays_within_bounds_where_there_is_nothing_to_learn_from():
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, torch.tensor([0, 1])) == pytest.approx(LOWEST, rel=1e-3)
    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(HIGHEST, rel=1e-3)


def test_a_diverged_network_has_no_calibration():
    logits, labels = torch.tensor([[math.nan, 0.0]]), torch.tensor([0])
    assert fit_temperature(logits, labels) == 1.0
    assert math.isnan(calibration_error(logits, labels, 1.0))
