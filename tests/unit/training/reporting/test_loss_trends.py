import numpy as np
import pytest

from classifier.training.reporting.loss_trends import smooth, training_trend, validation_trend

RANDOM = np.random.default_rng(0)


def trend_of(epochs):
    """Return the trend of epochs whose steps are of one size."""
    return validation_trend(epochs, [float(np.mean(row)) for row in epochs])


def test_the_trend_is_found_under_the_noise():
    line = np.linspace(2.0, 1.0, 400)
    trend = training_trend((line + RANDOM.normal(0, 0.2, 400)).tolist())
    assert trend.noise == pytest.approx(0.2, rel=0.2)
    assert trend.first == pytest.approx(2.0, abs=0.15)
    assert trend.last == pytest.approx(1.0, abs=0.15)
    assert trend.late_change == pytest.approx(0.25, abs=0.1)
    text = trend.sentences(64)
    assert "each sees 64 different images" in text
    assert "more epochs may help" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.r_[np.linspace(2, 0.5, 100), np.full(300, 0.5)], "It hardly changed in the last quarter of the steps"),
        (np.linspace(1, 2, 100), "it rose from 1.0"),
    ],
)
def test_the_sentences_say_whether_more_epochs_would_help(values, words):
    assert words in training_trend(values.tolist()).sentences(8)


def test_steps_without_a_finite_loss_are_left_out():
    assert training_trend([1.0, float("nan"), 0.5, float("inf")]) is None
    assert len(training_trend([1.0, float("nan"), 0.5, 0.4, 0.3]).smoothed) == 4


def test_the_recurring_pattern_of_the_classes_is_told_from_noise():
    wave = np.sin(np.linspace(0, 6, 30))
    recurring = trend_of([(1 / epoch * (1 + 0.5 * wave)).tolist() for epoch in range(1, 6)])
    assert recurring.recurring == pytest.approx(1)
    assert "100 % of that recurs at the same steps of every epoch" in recurring.sentences()
    chance = trend_of([(1 / epoch + RANDOM.normal(0, 0.3, 30)).tolist() for epoch in range(1, 6)])
    assert chance.recurring < 0.3
    assert "it is mostly noise" in chance.sentences()
    np.testing.assert_allclose(recurring.means, [1 / epoch * (1 + 0.5 * wave.mean()) for epoch in range(1, 6)])
    assert "lowest in epoch 5" in recurring.sentences()


@pytest.mark.parametrize("epochs", [[[0.5]], [[0.5], [0.4]], [[0.5, 0.6]], [[0.5, 0.5], [0.4, 0.4]]])
def test_too_few_steps_for_a_recurring_pattern(epochs):
    trend = trend_of(epochs)
    assert trend.recurring in (None, 0.0)
    assert trend.sentences()


def test_without_a_whole_finite_epoch_there_is_no_trend():
    assert validation_trend([], []) is None
    assert validation_trend([[0.5, float("nan")]], [float("nan")]) is None


def test_the_lowest_epoch_is_that_of_the_mean_over_the_images():
    """Its last step has few images, and may be far off."""
    trend = validation_trend([[1.0, 1.0], [float("nan"), 1.0], [0.9, 2.0]], [1.0, float("nan"), 0.91])
    assert "it is lowest in epoch 2 (0.91)" in trend.sentences()


def test_smoothing_keeps_a_constant_and_the_length():
    np.testing.assert_allclose(smooth(np.full(50, 3.0)), 3.0)
    assert len(smooth(np.arange(7.0))) == 7
