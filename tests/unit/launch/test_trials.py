import json
import re

import pytest

import trials
from classifier.training.hyperparameters import Between, OneOf
from classifier.training.metrics import METRICS, Metric
from places import UserError
from trials import COMPLETED, FAILED, STOPPED, Trial, Tuning, search_space

ACCURACY, LOSS = "validation:accuracy", "validation:loss"


def trial(name, value, status=COMPLETED, **hyperparameters):
    given = {"batch_size": "64", "lr": "0.001"} | hyperparameters
    return Trial(name, given, status, value, 12.0, "why" if status == FAILED else "", {ACCURACY: [0.1, value or 0.2]})


def test_the_search_space_is_the_containers():
    assert search_space(ACCURACY, {}, {}) == {
        "batch_size": OneOf((64, 128)),
        "lr": Between(1e-4, 0.1),
        "weight_decay": Between(1e-3, 0.1),
        "eps": Between(1e-9, 1e-8),
    }


def test_ranges_take_the_place_of_the_containers_and_what_is_fixed_is_not_searched():
    ranges = {"lr": [0.001, 0.01], "eps": [1e-9, 2e-9, 5e-9], "epochs": [5, 20], "optimizer": ["adamw", "sgd"]}
    assert search_space(LOSS, ranges, {"weight_decay": 0.01}) == {
        "batch_size": OneOf((64, 128)),
        "lr": Between(0.001, 0.01),
        "eps": OneOf((1e-9, 2e-9, 5e-9)),
        "epochs": OneOf((5, 20)),
        "optimizer": OneOf(("adamw", "sgd")),
    }


@pytest.mark.parametrize(
    ("objective", "ranges", "fixed", "expected"),
    [
        ("test:loss", {}, {}, "objective is 'test:loss'; accepted: validation:accuracy"),
        (ACCURACY, {"lr": 0.1}, {}, r"the range of lr is 0.1; accepted: a list, such as \[0.001, 0.01\]"),
        (ACCURACY, {"lr": [0.1, 0.01]}, {}, r"the range of lr is \[0.1, 0.01\]; accepted: a lower and a higher"),
        (ACCURACY, {"weight_decay": [0, 0.1]}, {}, "accepted: a lower and a higher number above 0"),
        (ACCURACY, {"lr": [0.1, 100]}, {}, "hyperparameter lr is 100; accepted: a number from 1e-08 to 10"),
        (ACCURACY, {"rate": [1, 2]}, {}, "unknown hyperparameter 'rate'"),
        (ACCURACY, {}, {"batch_size": 1, "lr": 1, "eps": 1, "weight_decay": 1}, "every hyperparameter is fixed"),
    ],
)
def test_what_is_no_search_space_is_one_sentence(objective, ranges, fixed, expected):
    with pytest.raises(UserError, match=expected):
        search_space(objective, ranges, fixed)


def test_hyperparameters_are_texts_as_a_job_takes_them():
    assert trials.as_texts({"lr": 1e-9 * 20, "report_images": False}) == {"lr": "2e-08", "report_images": "false"}
    with pytest.raises(UserError, match="hyperparameter epochs is 0"):
        trials.as_texts({"epochs": 0})


def test_metrics_are_read_with_the_definitions_that_a_job_gets():
    line = f"epoch 1/2: {METRICS[LOSS].format(0.5)} {METRICS[ACCURACY].format(0.25)} {Metric('other', 1).format(3)}"
    assert trials.read_metrics([line, "nothing", line]) == {LOSS: [0.5, 0.5], ACCURACY: [0.25, 0.25]}
    found = {item["Name"]: re.findall(item["Regex"], line) for item in trials.metric_definitions()}
    assert found[LOSS] == ["0.50000"]


def test_the_best_is_of_the_completed_or_else_of_those_that_ended_early():
    some = [trial("a", 0.8), trial("b", 0.9), trial("c", 0.95, STOPPED), trial("d", None, FAILED)]
    assert Tuning("t", ACCURACY, ["lr"], some).best.name == "b"
    assert Tuning("t", LOSS, ["lr"], some).best.name == "a"
    assert Tuning("t", ACCURACY, ["lr"], some[2:]).best.name == "c"
    assert Tuning("t", ACCURACY, ["lr"], some[3:]).best is None


def test_json_and_page(tmp_path):
    some = [trial("a", 0.8), trial("<b>", 0.9, lr="0.01"), trial("c", 0.7, STOPPED), trial("d", None, FAILED)]
    tuning = Tuning("a tuning", ACCURACY, ["batch_size", "lr"], some)
    page = tuning.save(tmp_path / "new").read_text()
    values = json.loads((tmp_path / "new" / "tuning.json").read_text())
    assert values["best"]["name"] == "<b>"
    assert values["best"]["hyperparameters"] == {"batch_size": "64", "lr": "0.01"}
    assert [one["name"] for one in values["trials"]] == ["a", "<b>", "c", "d"]
    assert values["direction"] == "Maximize"
    assert "&lt;b&gt;" in page
    assert "<b>0.9000</b>" in page
    assert "failed: why" in page
    assert page.count("<svg") == 1 + 2 + 2
    assert "http" not in re.sub(r'"http://www\.w3\.org/[^"]*"', "", page).replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")


def test_a_page_without_a_value(tmp_path):
    tuning = Tuning("a tuning", ACCURACY, ["lr"], [trial("d", None, FAILED)])
    assert "No training job has come to a value" in tuning.save(tmp_path).read_text()
    assert json.loads((tmp_path / "tuning.json").read_text())["best"] is None
