import json
import re

import pytest

from classifier.errors import UserError
from classifier.training.metrics import METRICS
from local import places
from local.importances import importances
from local.page import write_page
from local.trials import Trial, Tuning
from local.tuning_fields import COMPLETED, FAILED, STOPPED

ACCURACY, LOSS = "validation:accuracy", "validation:loss"


def trial(name, value, status=COMPLETED, **hyperparameters):
    given = {"batch_size": "64", "lr": "0.001"} | hyperparameters
    return Trial(name, given, status, value, 12.0, "why" if status == FAILED else "", {ACCURACY: [0.1, value or 0.2]})


def test_a_trial_reads_its_log_and_the_last_value_counts():
    def line(head, loss, accuracy):
        return f"{head}: {METRICS[LOSS].format(loss)} {METRICS[ACCURACY].format(accuracy)} other=3.0"

    read = trial("a", None)
    read.metrics = {}
    for text in (line("epoch 1/3", 0.5, 0.25), "nothing", line("epoch 2/3", 0.75, 0.125)):
        read.read(text, ACCURACY)
    assert (read.value, read.metrics) == (0.125, {LOSS: [0.5, 0.75], ACCURACY: [0.25, 0.125]})
    # An interrupted job may repeat an epoch, and at the end logs the one that it kept.
    for text in (line("epoch 2/3", 0.7, 0.2), line("epoch 3/3", 0.9, 0.1), line("best epoch, 1", 0.5, 0.25)):
        read.read(text, ACCURACY)
    assert (read.value, read.metrics) == (0.25, {LOSS: [0.5, 0.7, 0.9], ACCURACY: [0.25, 0.2, 0.1]})
    assert read.accuracy == 0.25


def test_trials_that_the_validation_images_cannot_tell_apart_are_called_equal(tmp_path):
    some = [trial("a", 0.90), trial("b", 0.93), trial("c", 0.60), trial("d", None, FAILED)]
    tuning = Tuning("t", ACCURACY, ["lr"], some)
    assert (tuning.equal, tuning.remark) == ([], "")  # as of an earlier version, the number of images is not known
    for one in some:
        one.read("validation: 150 images in /opt/ml/input/data/validation", ACCURACY)
        if one.value:
            one.read(f"best epoch, 2: {ACCURACY}={one.value:.5f} {LOSS}={1 - one.value:.5f}", ACCURACY)
    assert [one.name for one in tuning.equal] == ["a"]
    assert (
        tuning.remark == "b is right in 93.0 % of 150 images (95 %: 88 to 96); these images cannot tell it apart from a"
    )
    write_page(tuning, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text().replace("\u00a0", " ")
    assert page.count("completed, equal") == 1
    assert tuning.remark in page
    for one in some[:3]:
        one.value = 1 - one.accuracy  # of the loss
    assert Tuning("t", LOSS, ["lr"], some).remark.endswith("; by accuracy these images cannot tell it apart from a")


@pytest.mark.parametrize(("images", "count"), [("1 image", 1), ("20 images", 20), ("1,234,567 images", 1234567)])
def test_the_validation_images_are_read_from_the_log(images, count):
    one = trial("a", 0.9)
    one.read(f"validation: {images} in /opt/ml/input/data/validation", ACCURACY)
    assert one.validation_images == count


def test_the_best_is_of_the_completed_or_else_of_those_that_ended_early():
    some = [trial("a", 0.8), trial("b", 0.9), trial("c", 0.95, STOPPED), trial("d", None, FAILED)]
    assert Tuning("t", ACCURACY, ["lr"], some).best.name == "b"
    assert Tuning("t", LOSS, ["lr"], some).best.name == "a"
    assert Tuning("t", ACCURACY, ["lr"], some[2:]).best.name == "c"
    assert Tuning("t", ACCURACY, ["lr"], some[3:]).best is None


def test_json_and_page(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "RUNS", tmp_path)
    some = [trial("a", 0.8), trial("b", 0.9, lr="0.01"), trial("c", 0.7, STOPPED), trial("d", None, FAILED)]
    some[3].reason = "<b> and why"
    tuning = Tuning("new", ACCURACY, ["batch_size", "lr"], some, {"max_jobs": 4})
    tuning.save()
    assert Tuning.load("new") == tuning
    values = json.loads((tmp_path / "new" / "tuning.json").read_text())
    assert values["best"]["name"] == "b"
    assert values["best"]["hyperparameters"] == {"batch_size": "64", "lr": "0.01"}
    assert [one["name"] for one in values["trials"]] == ["a", "b", "c", "d"]
    assert values["direction"] == "Maximize"
    write_page(tuning, tmp_path / "tuning.html")
    page = (tmp_path / "tuning.html").read_text()
    assert "<b>0.9000</b>" in page
    assert "failed: &lt;b&gt; and why" in page
    assert page.count("<svg") == 0
    assert "Charts follow from 5 measured training jobs on" in page
    tuning.trials += [trial(name, 0.75) for name in "ef"]
    write_page(tuning, tmp_path / "tuning.html")
    page = (tmp_path / "tuning.html").read_text()
    assert page.count("<svg") == 1 + 2 + 2
    named = ("http://www.w3.org/", "http://purl.org", "http://creativecommons.org", "https://matplotlib.org")
    assert "http" not in re.sub("|".join(map(re.escape, named)), "", page)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("trials"),
        lambda values: values.update(trials=3),
        lambda values: values.update(trials=[3]),
    ]
    + [lambda values: values.update(settings=[]), lambda values: values.update(objective="accuracy")]
    + [lambda values: values["trials"][0].pop("name"), lambda values: values.update(name="other")]
    + [lambda values: values["trials"][0].update(status="done"), lambda values: values["trials"][0].update(value="0.8")]
    + [lambda values: values["trials"][0].update(hyperparameters=None)]
    + [lambda values: values["trials"][0].update(hyperparameters={})]
    + [lambda values: values["trials"][0].update(hyperparameters={"lr": 1})]
    + [lambda values: values["trials"][0]["hyperparameters"].update(rate="1")],
)
def test_a_damaged_file_is_named(tmp_path, monkeypatch, change):
    monkeypatch.setattr(places, "RUNS", tmp_path)
    Tuning("new", ACCURACY, ["lr"], [trial("a", 0.8)], {}).save()
    file = tmp_path / "new" / "tuning.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"new/tuning.json is damaged: .*; name another tuning"):
        Tuning.load("new")


@pytest.mark.parametrize("text", ["", "{", "[]", "\0"])
def test_a_file_that_is_not_json_is_named(tmp_path, monkeypatch, text):
    monkeypatch.setattr(places, "RUNS", tmp_path)
    Tuning("new", ACCURACY, ["lr"]).save()
    (tmp_path / "new" / "tuning.json").write_text(text)
    with pytest.raises(UserError, match=r"new/tuning.json (is not valid JSON|holds an array)"):
        Tuning.load("new")


def test_a_page_without_a_value(tmp_path):
    tuning = Tuning("a tuning", ACCURACY, ["lr"], [trial("d", None, FAILED)])
    assert tuning.best is None
    write_page(tuning, tmp_path / "tuning.html")
    assert "No training job has reported validation:accuracy yet" in (tmp_path / "tuning.html").read_text()


def test_a_value_of_zero_has_its_place_on_the_page(tmp_path):
    some = [trial(name, 0.8, weight_decay="0.0") for name in "abcd"] + [trial("e", 0.9, weight_decay="0.01")]
    write_page(Tuning("a tuning", ACCURACY, ["weight_decay"], some), tmp_path / "tuning.html")
    assert (tmp_path / "tuning.html").read_text().count("<svg") == 1 + 1 + 2


@pytest.mark.parametrize(("count", "charts"), [(4, 0), (5, 1 + 2 + 2), (9, 1 + 2 + 2), (10, 1 + 2 + 2 + 2)])
def test_from_ten_trials_on_the_page_says_which_hyperparameters_matter(tmp_path, count, charts):
    some = [
        trial(f"{n}", 0.5 + 0.04 * n, lr=f"{0.001 * (n + 1):.4f}", batch_size=f"{64 + n % 2}") for n in range(count)
    ]
    write_page(Tuning("a tuning", ACCURACY, ["lr", "batch_size"], some), tmp_path / "tuning.html")
    page = (tmp_path / "tuning.html").read_text()
    assert page.count("<svg") == charts
    assert ("Which hyperparameters matter" in page) == (count == 10)


def test_importances_name_the_hyperparameter_that_the_objective_follows():
    some = [trial(f"{n}", 0.5 + 0.04 * n, lr=f"{0.001 * (n + 1):.4f}", batch_size=f"{64 + n % 2}") for n in range(12)]
    shares = importances(Tuning("a tuning", ACCURACY, ["lr", "batch_size"], some))
    assert next(iter(shares)) == "lr"
    assert shares["lr"] > 0.8
    alike = [trial(f"{n}", 0.5) for n in range(12)]
    assert importances(Tuning("a tuning", ACCURACY, ["lr", "batch_size"], alike)) == {}
