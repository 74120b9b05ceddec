from argparse import Namespace

import pytest

from classifier.errors import UserError
from classifier.training.accepted_values import Between, OneOf
from local import search

ACCURACY, LOSS = "validation:accuracy", "validation:loss"


def search_space(objective=ACCURACY, ranges={}, fixed={}, strategy="Bayesian"):  # noqa: B006
    given = Namespace(objective=objective, ranges=ranges, hyperparameters=fixed, strategy=strategy, max_jobs=8)
    return search.search_space(given), given.max_jobs


def test_the_search_space_is_the_containers():
    assert search_space()[0] == {
        "batch_size": OneOf((64, 128)),
        "lr": Between(1e-4, 0.1),
        "weight_decay": Between(1e-3, 0.1),
        "eps": Between(1e-9, 1e-8),
    }


def test_ranges_replace_the_containers_and_fixed_hyperparameters_are_not_searched():
    ranges = {"lr": [0.001, 0.01], "eps": [1e-9, 2e-9, 5e-9], "epochs": [5, 20], "optimizer": ["adamw", "sgd"]}
    assert search_space(LOSS, ranges, {"weight_decay": 0.01})[0] == {
        "batch_size": OneOf((64, 128)),
        "lr": Between(0.001, 0.01),
        "eps": OneOf((1e-9, 2e-9, 5e-9)),
        "epochs": OneOf((5, 20)),
        "optimizer": OneOf(("adamw", "sgd")),
    }


@pytest.mark.parametrize(
    ("objective", "ranges", "fixed", "expected"),
    [
        (
            ACCURACY,
            {"lr": 0.1},
            {},
            r"the range of lr is 0.1; .* 30 values, such as \[0.001, 0.01\]",
        ),
        (ACCURACY, {"lr": []}, {}, r"the range of lr is \[\]; accepted: a list of up to 30 values"),
        (ACCURACY, {"lr": {}}, {}, r"the range of lr is \{\}; accepted: a list"),
        (ACCURACY, {"seed": list(range(31))}, {}, "accepted: a list of up to 30 values"),
        (ACCURACY, {"lr": [0.1, 0.1]}, {}, r"the range of lr is \[0.1, 0.1\]; accepted: a lower and a higher"),
        (ACCURACY, {"lr": ["0.1", "0.01"]}, {}, "accepted: a lower and a higher"),
        (ACCURACY, {"lr": ["a", "b"]}, {}, "hyperparameter lr is 'a'; accepted: a number"),
        (ACCURACY, {"lr": [True, False]}, {}, "hyperparameter lr is true; accepted: a number"),
        (ACCURACY, {"lr": [0.1, float("nan")]}, {}, "hyperparameter lr is NaN; accepted: a number"),
        (ACCURACY, {"lr": [0.1, float("inf")]}, {}, "hyperparameter lr is Infinity; accepted: a number"),
        (ACCURACY, {"lr": [[0.1], 1]}, {}, r"hyperparameter lr is \[0.1\]; accepted: a number"),
        (ACCURACY, {"lr": [0.1, 0.2, "0.1"]}, {}, "accepted: each value once"),
        (ACCURACY, {"batch_size": [64, " 64"]}, {}, "accepted: each value once"),
        (ACCURACY, {"batch_size": [64, 128.0]}, {}, "hyperparameter batch_size is 128.0; accepted: a whole number"),
        (ACCURACY, {"sagemaker_x": [1, 2]}, {}, "unknown hyperparameter 'sagemaker_x'; accepted: epochs"),
        (ACCURACY, {"_tuning_objective_metric": ["a"]}, {}, "unknown hyperparameter '_tuning_objective_metric'"),
        (ACCURACY, {"objective": [ACCURACY, LOSS]}, {}, "accepted: no range, since a tuning has one objective"),
        (ACCURACY, {}, {"objective": LOSS}, f"is '{ACCURACY}', and hyperparameters fixes objective to '{LOSS}'"),
        (LOSS, {}, {"objective": f'"{ACCURACY}"'}, "accepted: the same metric in both"),
        (ACCURACY, {"lr": [0.1, 0.2]}, {"lr": 0.1}, "lr is fixed to 0.1 in hyperparameters and has a range"),
        (ACCURACY, {"lr": [0.1, 0.01]}, {}, r"the range of lr is \[0.1, 0.01\]; accepted: a lower and a higher"),
        (ACCURACY, {"weight_decay": [0, 0.1]}, {}, "accepted: a lower and a higher number above 0"),
        (ACCURACY, {"lr": [0.1, 100]}, {}, "hyperparameter lr is 100; accepted: a number from 1e-08 to 10"),
        (ACCURACY, {"rate": [1, 2]}, {}, "unknown hyperparameter 'rate'"),
        (ACCURACY, {}, {"batch_size": 1, "lr": 1, "eps": 1, "weight_decay": 1}, "every hyperparameter is fixed"),
    ],
)
def test_an_invalid_search_space_is_one_sentence(objective, ranges, fixed, expected):
    with pytest.raises(UserError, match=expected):
        search_space(objective, ranges, fixed)


def test_ranges_may_be_in_quotes_and_the_objective_may_be_fixed_to_itself():
    space, _ = search_space(LOSS, {"lr": ["0.001", "0.01"], "batch_size": ["32"]}, {"objective": f'"{LOSS}"'})
    assert (space["lr"], space["batch_size"]) == (Between(0.001, 0.01), OneOf((32,)))


def test_hyperparameters_become_strings():
    assert search.as_texts({"lr": 1e-9 * 20, "report_images": False}) == {"lr": "2e-08", "report_images": "false"}
    with pytest.raises(UserError, match="hyperparameter epochs is 0"):
        search.as_texts({"epochs": 0})


def test_a_grid_search_tries_all_combinations_and_needs_lists():
    grid = {"lr": [0.001, 0.003, 0.01], "eps": [1e-9], "weight_decay": [0.01, 0.1, 1]}
    assert search_space(ranges=grid, strategy="Grid")[1] == 3 * 1 * 3 * 2
    with pytest.raises(UserError, match="strategy is 'Grid', which needs a list of values in ranges for lr, "):
        search_space(strategy="Grid")
