import math

import numpy as np
import pytest
import torch

from classifier.training.calibration import HIGHEST, LOWEST, calibration_error, fit_temperature


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


def test_it_stays_within_bounds_where_there_is_nothing_to_learn_from():
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, torch.tensor([0, 1])) == pytest.approx(LOWEST, rel=1e-3)
    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(HIGHEST, rel=1e-3)


def test_a_diverged_network_has_no_calibration():
    logits, labels = torch.tensor([[math.nan, 0.0]]), torch.tensor([0])
    assert fit_temperature(logits, labels) == 1.0
    assert math.isnan(calibration_error(logits, labels, 1.0))
