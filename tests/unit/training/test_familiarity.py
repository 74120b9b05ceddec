import numpy as np
import pytest
import torch

from classifier.training.familiarity import FEWEST, SHARE, fit, held_out, judge, limit_of

F = 24


def features(n: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    """Features as behind a ReLU, of which many depend on a few."""
    random = np.random.default_rng(seed)
    made = random.normal(shift, 1, (n, 6)) @ np.random.default_rng(9).normal(size=(6, F))
    return torch.from_numpy(np.maximum(made + random.normal(size=(n, F)), 0)).float()


@pytest.mark.parametrize("n", [FEWEST, 400])
def test_the_stated_share_is_known_and_what_is_unlike_it_is_not(n):
    fitted = fit(features(n))
    assert fitted.images == n
    assert SHARE <= fitted.share <= SHARE + 1 / n + 1e-9
    assert judge(features(2000, seed=1), fitted).share == pytest.approx(SHARE, abs=0.04)
    assert judge(features(200, seed=2, shift=3), fitted).share < 0.5


def test_an_image_is_judged_by_the_others():
    """The distances are those of refitting without each image, for the same ridge."""
    roots = features(40).double().sqrt()
    ridge = 0.1 * torch.eye(F, dtype=torch.float64)

    def squares(some: torch.Tensor, scatter_of: int, one: torch.Tensor) -> torch.Tensor:
        centred = some - some.mean(0)
        inverse = torch.linalg.inv(centred.T @ centred / scatter_of + ridge)
        return ((one - some.mean(0)) @ inverse * (one - some.mean(0))).sum(1)

    found = held_out(squares(roots, 40, roots))
    every = torch.arange(40)
    expected = [squares(roots[every != i], 40, roots[i : i + 1]).sqrt() for i in every]
    torch.testing.assert_close(found, torch.cat(expected))


def test_too_few_images_fit_nothing():
    fitted = fit(features(FEWEST - 1))
    assert (fitted.measure, fitted.images) == (None, 0)
    assert fitted.why_not == "too few photos (99) to say which others are unlike them, accepted: 100 or more"
    assert judge(features(50), fitted) == fitted


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_no_numbers_fit_nothing(value):
    made = features(FEWEST)
    made[3, 4] = value
    assert fit(made).why_not == "the network's features are not finite"


def test_features_of_any_size_fit_alike():
    made = features(FEWEST)
    assert fit(made * (3e38 / made.max())).known == fit(made).known


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])  # of some the mean is not exact
def test_images_that_are_all_alike_fit_nothing(value):
    assert fit(torch.full((FEWEST, F), value)).why_not == "the validation images are all alike"


def test_the_limit_holds_for_the_next_image():
    """Of 19 values the largest: a 20th is as likely to be the largest as each of them."""
    assert limit_of(np.arange(1.0, 20)) == 19
    assert limit_of(np.arange(1.0, 101)) == 96
