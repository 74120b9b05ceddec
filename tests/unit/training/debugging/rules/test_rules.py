"""Each rule on a trial made for it: sick series, and healthy ones that look alike."""

import numpy as np
import pytest

from classifier.training.debugging import smdebug_compat
from classifier.training.debugging.names import RuleName
from classifier.training.debugging.rules.verdicts import explain
from hooked import open_trial, write_trial

LOSS = "CrossEntropyLoss_output_0"
GUESSING = float(np.log(10))


def verdicts(folder, rows):
    """Return each rule's verdict on a trial of `rows`, and the series for the report."""
    write_trial(folder, rows)
    trial = open_trial(folder)
    from classifier.training.debugging.rules.evaluator import Evaluator

    evaluator = Evaluator(trial, GUESSING)
    changes = {verdict["rule"]: verdict for verdict in evaluator.evaluate_new_steps()}
    told = {verdict["rule"]: verdict for verdict in evaluator.verdicts()}
    assert all(told[rule] == verdict for rule, verdict in changes.items())
    return told, evaluator.series


def found(folder, rows):
    return {name: verdict for name, verdict in verdicts(folder, rows)[0].items() if verdict["status"] == "found"}


def losses(values, others=None):
    """Return a training step for each loss, with the tensors `others` too."""
    return [{LOSS: value} | (others or {}) for value in values]


def epochs(train, validation):
    """Yield a training step and a validation step for each epoch, with the losses of the whole pass."""
    for number, (of_train, of_validation) in enumerate(zip(train, validation, strict=True)):
        yield {LOSS: of_train, "scalar/train_loss": of_train}
        yield {"mode": "EVAL", LOSS: of_validation, "scalar/validation_loss": of_validation, "epoch": number}


def noisy(values, scale, seed=0):
    return np.asarray(values) + np.random.default_rng(seed).normal(0, scale, len(values))


FALLING = np.linspace(2.3, 0.2, 40)


def test_every_name_has_its_rule(tmp_path):
    assert set(verdicts(tmp_path, losses([1.0]))[0]) == set(RuleName)


def test_a_rule_whose_name_is_not_listed_cannot_be_defined():
    smdebug_compat.load()
    from classifier.training.debugging.rules.rule import JobRule

    with pytest.raises(ValueError, match="'Unlisted' is not a valid RuleName"):
        type("Unlisted", (JobRule,), {})


def test_a_healthy_loss_is_left_alone(tmp_path):
    assert found(tmp_path, losses(noisy(FALLING, 0.1))) == {}


@pytest.mark.parametrize("values", [[2.3] * 40, noisy([2.3] * 40, 0.1), np.linspace(2.3, 2.5, 40)])
def test_loss_not_decreasing(tmp_path, values):
    (verdict,) = found(tmp_path, losses(values)).values()
    assert verdict["rule"] == "LossNotDecreasing"
    assert verdict["step"] == 19
    assert "went from 2.3" in verdict["evidence"]


@pytest.mark.parametrize("values", [noisy(np.r_[FALLING, [0.2] * 40], 0.05), [2.3] * 19])
def test_a_loss_that_has_fallen_or_a_short_run_is_not_blamed(tmp_path, values):
    assert found(tmp_path, losses(values)) == {}


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_loss_of_any_length_and_scatter_is_left_alone(tmp_path, seed):
    """Losses of small batches are near zero but for a few large ones."""
    random = np.random.default_rng(seed)
    count, shape = int(random.integers(20, 60)), random.uniform(0.5, 4)
    trend = random.uniform(0.5, 3) * np.exp(-np.arange(count) / random.uniform(3, 12))
    assert found(tmp_path, losses(trend * random.gamma(shape, 1 / shape, count))) == {}


@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_was_good_from_the_start_has_little_left_to_learn(tmp_path, seed):
    values = np.random.default_rng(seed).gamma(2, 0.05, 40)
    assert found(tmp_path, losses(values)) == {}


@pytest.mark.parametrize(("count", "scatter"), [(19, 0.0), (40, 1.5)])
def test_a_rule_that_has_not_seen_enough_says_so(tmp_path, count, scatter):
    told = verdicts(tmp_path, losses(noisy([2.3] * count, scatter, seed=3)))[0]
    assert told["LossNotDecreasing"]["status"] == told["Overfit"]["status"] == "too early to say"


def test_what_was_found_is_gone_when_the_loss_falls_after_all(tmp_path):
    values = noisy(np.r_[[2.3] * 24, np.linspace(2.3, 0.1, 16), [0.1] * 10], 0.02)
    verdict = verdicts(tmp_path, losses(values))[0]["LossNotDecreasing"]
    assert (verdict["status"], verdict["step"], verdict["advice"]) == ("gone", 19, "")
    assert 24 < verdict["gone_at"] < 35


def test_a_rate_that_was_too_high_at_first_is_gone_once_training_has_learnt(tmp_path):
    values = [9.0] * 9 + [2.3] * 10
    for name, later, status in (("sick", [2.3] * 10, "found"), ("healthy", [0.3] * 10, "gone")):
        rows = losses(values + later, {"update_ratio/conv1": 0.5})
        assert verdicts(tmp_path / name, rows)[0]["LearningRateTooHigh"]["status"] == status


def test_overfit_is_gone_at_a_new_lowest_validation_loss_and_not_before(tmp_path):
    train, validation = [1.0, 0.5, 0.2, 0.1, 0.1, 0.1], [0.6, 0.5, 0.9, 1.3, 0.52]
    for name, last, status in (("sick", 0.51, "found"), ("healthy", 0.4, "gone")):
        rows = list(epochs(train, [*validation, last]))
        assert verdicts(tmp_path / name, rows)[0]["Overfit"]["status"] == status


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ([0.65, 0.78, 0.35, 0.51, 0.33, 0.19], [1.17, 0.31, 0.53, 0.53, 0.44, 0.40]),
        ([0.67, 0.64, 0.43, 0.40, 0.29, 0.19], [0.30, 0.51, 0.44, 0.54, 0.57, 0.46]),  # one lucky epoch
    ],
)
def test_a_rise_within_the_scatter_of_the_validation_loss_is_no_overfit(tmp_path, train, validation):
    """As on 24 validation images."""
    assert found(tmp_path, list(epochs(train, validation))) == {}


def test_scatter_without_a_trend_is_mostly_not_called_overfit(tmp_path):
    """It is looked at ten times: compared with the single lowest epoch, four of five series were called so."""
    train = np.linspace(0.6, 0.1, 10)
    series = [noisy([0.5] * 10, 0.1, seed) for seed in range(40)]
    assert sum("Overfit" in found(tmp_path / str(n), list(epochs(train, one))) for n, one in enumerate(series)) <= 15


def test_learning_rate_too_high(tmp_path):
    rows = losses([2.3, 2.4, 9.0, 12.0, 2.6, 8.0, 9.0, 2.5, 7.0], {"update_ratio/conv1": 3.0, "update_ratio/fc": 0.9})
    (verdict,) = found(tmp_path, rows).values()
    assert (verdict["rule"], verdict["step"]) == ("LearningRateTooHigh", 8)
    assert "195 %" in verdict["evidence"]
    assert "Lower lr" in verdict["advice"]


@pytest.mark.parametrize("values", [[2.3, 9, 9, 9, 9, 2.1], [0.1, 0.5, 0.6, 0.9, 1.2, 1.5, 0.9]])
def test_a_spike_or_a_start_from_a_good_model_is_no_high_learning_rate(tmp_path, values):
    assert found(tmp_path, losses(values, {"update_ratio/conv1": 0.5})) == {}


def test_small_updates_are_no_high_learning_rate(tmp_path):
    assert found(tmp_path, losses([2.3] + [9.0] * 8, {"update_ratio/conv1": 0.01})) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [LOSS, ("gradient/ResNet_fc.weight", "l2"), ("ResNet_fc.bias", "l2")])
def test_exploding_tensor(tmp_path, name, value):
    rows = losses(FALLING)
    rows[7][name] = value
    (verdict,) = found(tmp_path, rows).values()
    assert (verdict["rule"], verdict["step"]) == ("ExplodingTensor", 7)


def test_gradients_that_were_saved_whole_are_looked_at_too(tmp_path):
    rows = losses(FALLING[:3], {"gradient/ResNet_conv1.weight": np.full((2, 2, 1, 1), 3.0)})
    rows[2]["gradient/ResNet_conv1.weight"] = np.full((2, 2, 1, 1), np.inf)
    told, series = verdicts(tmp_path, rows)
    assert told["ExplodingTensor"]["step"] == 2
    assert series.values()["gradient"] == {"conv1": [6.0, 6.0, np.inf]}


def test_vanishing_gradient(tmp_path):
    rows = losses([2.3] * 3, {("gradient/ResNet_a.weight", "abs_mean"): 1e-3})
    rows[2]["gradient/ResNet_b.weight", "abs_mean"] = 3e-9
    (verdict,) = found(tmp_path, rows).values()
    assert (verdict["rule"], verdict["step"]) == ("VanishingGradient", 2)
    assert "1 of 2" in verdict["evidence"]
    assert "ResNet_b.weight" in verdict["evidence"]


def test_small_gradients_at_the_end_of_learning_are_not_vanishing(tmp_path):
    rows = losses(np.r_[FALLING, [0.001] * 3])
    rows[-1]["gradient/ResNet_b.weight", "abs_mean"] = 3e-9
    assert found(tmp_path, rows) == {}


def relu_inputs(*spread):
    return {(f"layer{number}.relu_input_0", "std"): value for number, value in enumerate(spread)}


@pytest.mark.parametrize(("spread", "words"), [((1.0, 4.0), "16 times"), ((1.0, 1e-5), "are all alike")])
def test_poor_weight_initialization(tmp_path, spread, words):
    (verdict,) = found(tmp_path, losses([2.3] * 12, relu_inputs(*spread))).values()
    assert (verdict["rule"], verdict["step"]) == ("PoorWeightInitialization", 9)
    assert words in verdict["evidence"]


@pytest.mark.parametrize(
    ("values", "spread"), [(FALLING, (1.0, 4.0)), ([2.3] * 12, (1.0, 3.0)), ([2.3] * 9, (1.0, 4.0))]
)
def test_a_falling_loss_even_activations_or_a_short_run_are_no_poor_initialization(tmp_path, values, spread):
    assert found(tmp_path, losses(values, relu_inputs(*spread))) == {}


def test_activations_that_spread_only_later_are_no_poor_initialization(tmp_path):
    rows = losses([2.3] * 12, relu_inputs(1.0, 1.0))
    for row in rows[1:]:
        row |= relu_inputs(1.0, 9.0)
    assert found(tmp_path, rows) == {}


def test_dead_relu(tmp_path):
    rows = losses(FALLING[:8], {"relu_activity/layer4.0.relu_0": [0.0, 0.005, 0.3]})
    (verdict,) = found(tmp_path, rows).values()
    assert (verdict["rule"], verdict["step"]) == ("DeadRelu", 4)
    assert "67 % of the units of layer4.0.relu" in verdict["evidence"]


def test_units_that_are_silent_now_and_then_are_not_dead(tmp_path):
    rows = losses(FALLING[:20])
    for number, row in enumerate(rows):
        row["relu_activity/layer4.0.relu_0"] = [0.2 * (number % 4 == 0), 0.2 * (number % 4 == 1), 0.2]
    assert found(tmp_path, rows) == {}


def test_overfit(tmp_path):
    rows = list(epochs([2.0, 1.0, 0.5, 0.2, 0.1], [2.0, 1.5, 1.6, 1.9, 2.2]))
    (verdict,) = found(tmp_path, rows).values()
    assert (verdict["rule"], verdict["step"]) == ("Overfit", 4)
    assert "47 % above its lowest (1.5)" in verdict["evidence"]


@pytest.mark.parametrize(
    "validation",
    [
        [2.0, 1.0, 0.5, 0.3, 0.25],  # far above the training loss, and still falling
        [2.0, 1.0, 1.4, 1.0, 0.9],  # one bad epoch
    ],
)
def test_a_gap_alone_or_one_bad_epoch_is_no_overfit(tmp_path, validation):
    assert found(tmp_path, list(epochs([2.0, 1.0, 0.3, 0.05, 0.01], validation))) == {}


def test_overtraining(tmp_path):
    train = [2.0, 1.0, 0.5] + [0.49] * 12
    (verdict,) = found(tmp_path, list(epochs(train, [value + 0.05 for value in train]))).values()
    assert (verdict["rule"], verdict["step"]) == ("Overtraining", 12)
    assert "for 10 epochs" in verdict["evidence"]


def test_slow_but_steady_progress_is_no_overtraining(tmp_path):
    train = [2.0 * 0.95**epoch for epoch in range(30)]
    assert found(tmp_path, list(epochs(train, train))) == {}


def test_smdebugs_own_invoker_runs_a_rule(tmp_path):
    from smdebug.exceptions import NoMoreData, RuleEvaluationConditionMet

    smdebug_compat.load()
    from smdebug.rules import invoke_rule

    from classifier.training.debugging.rules.loss_rules import LossNotDecreasing
    from classifier.training.debugging.rules.saved_tensors import SavedTensors

    for name, values, expected in (("a", [2.3] * 20, RuleEvaluationConditionMet), ("b", FALLING, NoMoreData)):
        write_trial(tmp_path / name, losses(values))
        (tmp_path / name / "training_job_end.ts").touch()
        trial = open_trial(tmp_path / name)
        with pytest.raises(expected):
            invoke_rule(LossNotDecreasing(trial, SavedTensors(trial)), raise_eval_cond=True)


def test_a_rule_refuses_a_parameter_that_it_does_not_have(tmp_path):
    smdebug_compat.load()
    from classifier.training.debugging.rules.loss_rules import Overfit
    from classifier.training.debugging.rules.saved_tensors import SavedTensors

    write_trial(tmp_path, losses([1.0]))
    trial = open_trial(tmp_path)
    parameters = Overfit(trial, SavedTensors(trial), patience=3).verdict()["parameters"]
    assert parameters == {"start_step": 0, "patience": 3, "ratio_threshold": 0.1}
    with pytest.raises(TypeError, match="unexpected keyword argument 'patients'"):
        Overfit(trial, SavedTensors(trial), patients=3)


def test_the_series_have_a_value_per_layer_and_saved_training_step(tmp_path):
    rows = losses(FALLING[:3], {"update_ratio/conv1": 0.01, ("gradient/ResNet_conv1.weight", "l2"): 2.0})
    rows[1]["update_ratio/fc"] = 0.5
    rows[2]["relu_activity/relu_0"] = [0.0, 0.0, 1.0, 1.0]
    _, series = verdicts(tmp_path, [*rows, {"mode": "EVAL", LOSS: 1.0}])
    assert series.values() == {
        "steps": [0, 1, 2],
        "saved": {"train": 3, "validation and test": 1},
        "gradient": {"conv1": [2.0, 2.0, 2.0]},
        "update": {"conv1": pytest.approx([0.01] * 3), "fc": [None, 0.5, None]},
        "dead": {"relu_0": [None, None, 50.0]},
    }


def test_a_consequence_is_told_from_its_cause():
    names = ("DeadRelu", "LearningRateTooHigh", "Overtraining", "VanishingGradient")
    status = {"Overtraining": "not found"}
    given = [{"rule": name, "status": status.get(name, "found"), "advice": "Do."} for name in names]
    told = {verdict["rule"]: verdict for verdict in explain(given)}
    assert told["DeadRelu"]["cause"] == told["VanishingGradient"]["cause"] == "LearningRateTooHigh"
    assert told["LearningRateTooHigh"]["cause"] is None
    assert told["LearningRateTooHigh"]["advice"] == "Do."
    assert "consequence of LearningRateTooHigh" in told["DeadRelu"]["advice"]
    assert told["Overtraining"]["cause"] is None
