import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from classifier.training.calibration import BINS, FEWEST, HIGHEST, LOWEST, calibrate, calibration_error, fit_temperature


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


@pytest.mark.parametrize("n", [1, 2, FEWEST - 1])
def test_too_few_images_are_not_calibrated(n):
    logits, labels = sample(2.5, count=n)
    assert calibrate(logits, labels) == (1.0, f"too few photos ({n}) to calibrate, accepted: 100 or more")


def test_a_network_that_is_not_finite_is_not_calibrated():
    assert calibrate(torch.full((200, 2), math.nan), torch.zeros(200, dtype=torch.long))[0] == 1.0


@pytest.mark.parametrize("n", [100, 341, 1500])
def test_a_calibrated_network_is_left_as_it_is(n):
    logits, labels = sample(1.0)
    for start in range(0, 10 * n, n):
        temperature, why_not = calibrate(logits[start : start + n], labels[start : start + n])
        assert temperature == 1.0
        assert why_not == f"on held-out photos of these {n} a temperature made the error no smaller"


@pytest.mark.parametrize("n", [341, 1500])
def test_a_chosen_temperature_makes_the_error_of_other_images_smaller(n):
    logits, labels = sample(1.8, count=30_000)
    before = calibration_error(logits[20_000:], labels[20_000:], 1.0)
    for start in range(0, 10 * n, n):
        temperature, why_not = calibrate(logits[start : start + n], labels[start : start + n])
        assert why_not == ""
        assert calibration_error(logits[20_000:], labels[20_000:], temperature) < before


def test_of_very_many_images_some_are_measured():
    logits, labels = sample(2.5, count=25_000)
    assert calibrate(logits, labels)[0] == pytest.approx(2.5, rel=0.05)
