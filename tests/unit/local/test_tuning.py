"""Tuning on this computer with a container/train that takes no time and logs what the data folder says."""

import json
import shutil
import signal
from argparse import Namespace

import pytest

import damages
import local.tuning
from classifier.errors import UserError
from classifier.training.accepted_values import OneOf
from classifier.training.hyperparameters import SEARCH_SPACE
from datasets import touch_images
from local import models, pictures, places, programs
from local.page import write_page
from local.search import search_space
from local.study import trials_of
from local.trials import Tuning
from waits import wait_until

ACCURACY = "validation:accuracy"
# Logs the accuracies that DATA/TRIAL.json lists for this trial, until it is stopped.
TRAIN = """
import json, pathlib, signal, sys, time
root = pathlib.Path(sys.argv[2])
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
accuracies = json.loads((root / "input/data/train" / f"{root.name}.json").read_text())
rows = root / "output/data/metrics.jsonl"
rows.parent.mkdir(parents=True, exist_ok=True)
if isinstance(accuracies, str):
    (root / "output/failure").write_text(accuracies)
    sys.exit(1)
rows.write_text("")
for epoch, accuracy in enumerate(accuracies, 1):
    print(f"epoch {epoch}/9: validation:accuracy={accuracy:.5f}", flush=True)
    with rows.open("a") as file:
        file.write(json.dumps({"epoch": epoch, "validation:accuracy": accuracy}) + "\\n")
    time.sleep(0.05 if epoch < 20 else 0)
    if stopped:
        break
best = max(accuracies[:epoch])
print(f"best epoch, {accuracies.index(best) + 1}: validation:accuracy={best:.5f}", flush=True)
"""


@pytest.fixture
def tune(tmp_path, monkeypatch):
    """Tune in a folder, with a list of accuracies or a failure for each trial."""
    (tmp_path / "container").mkdir()
    (tmp_path / "container" / "train").write_text(TRAIN)
    monkeypatch.setattr(places, "CONTAINER", tmp_path / "container")
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    data = tmp_path / "data"
    data.mkdir()

    def run(trials, show=lambda tuning: None, **settings):
        for number, accuracies in enumerate(trials, 1):
            (data / f"trial-{number:03}.json").write_text(json.dumps(accuracies))
        given = {"objective": ACCURACY, "ranges": {}, "hyperparameters": {"epochs": 9}, "image": "", "data": str(data)}
        given |= {"strategy": "Bayesian", "early_stopping": "Auto", "max_jobs": len(trials)} | settings
        if not Tuning.file("one").exists():
            Tuning("one", ACCURACY, list(search_space(Namespace(**given))), settings=given).save()
        for told in local.tuning.tune("one"):
            show(told)
        return told

    return run


def test_the_value_is_the_best_epochs_and_the_best_trial_has_the_best(tune):
    tuning = tune([[0.1, 0.6, 0.5], [0.2, 0.9, 0.3]])
    assert [trial.value for trial in tuning.trials] == [0.6, 0.9]
    assert tuning.best.name == "one/trial-002"
    assert tuning.best.metrics == {ACCURACY: [0.2, 0.9, 0.3]}
    assert tuning.best.hyperparameters["epochs"] == "9"
    assert 1e-4 <= float(tuning.best.hyperparameters["lr"]) <= 0.1
    assert tuning.best.hyperparameters["batch_size"] in ("64", "128")


@pytest.mark.parametrize("strategy", ["Random", "Grid", "Hyperband"])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_other_strategies(tune, strategy):
    lists = {"lr": [0.001], "eps": [1e-9], "weight_decay": [0.01]} if strategy == "Grid" else {}
    tuning = tune([[0.1], [0.2]], strategy=strategy, ranges=lists)
    assert [(trial.status, trial.value) for trial in tuning.trials] == [("completed", 0.1), ("completed", 0.2)]
    if strategy == "Grid":
        assert [trial.hyperparameters["batch_size"] for trial in tuning.trials] == ["64", "128"]


def test_a_poor_trial_is_stopped_early(tune):
    good, poor = [0.8] * 4, [0.1] * 200
    tuning = tune([good, good, good, poor])
    assert [trial.status for trial in tuning.trials] == ["completed"] * 3 + ["stopped early"]
    assert 2 <= len(tuning.trials[3].metrics[ACCURACY]) < 20


def test_without_early_stopping_a_poor_trial_continues(tune):
    good, poor = [0.8] * 4, [0.1] * 30
    tuning = tune([good, good, good, poor], early_stopping="Off")
    assert tuning.trials[3].status == "completed"
    assert len(tuning.trials[3].metrics[ACCURACY]) == 30


def test_a_failed_trial_is_recorded_and_the_others_continue(tune):
    tuning = tune(["too much\nand more", [0.5]])
    assert [(trial.status, trial.reason) for trial in tuning.trials] == [
        ("failed", "training failed: too much"),
        ("completed", ""),
    ]
    assert tuning.best.name == "one/trial-002"


def test_when_the_first_trials_fail_tuning_ends(tune):
    with pytest.raises(UserError, match="the first 2 trials failed: training failed: no data"):
        tune(["no data"] * 3)


def test_an_interrupted_tuning_continues_with_the_same_hyperparameters(tune):
    def interrupt(tuning):
        if len(tuning.trials) == 2 and tuning.trials[1].metrics:
            raise KeyboardInterrupt

    trials = [[0.5], [0.6] * 30, [0.7]]
    seen = []
    with pytest.raises(KeyboardInterrupt):
        tune(trials, lambda tuning: (seen.append(dict(tuning.trials[-1].hyperparameters)), interrupt(tuning)))
    tuning = tune(trials)
    assert [trial.name for trial in tuning.trials] == ["one/trial-001", "one/trial-002", "one/trial-003"]
    assert [trial.value for trial in tuning.trials] == [0.5, 0.6, 0.7]
    assert tuning.trials[1].hyperparameters == seen[-1]
    assert tuning.trials[2].hyperparameters != seen[-1]
    again = tune(trials)
    assert [vars(trial) for trial in again.trials] == [vars(trial) for trial in tuning.trials]


def test_two_processes_cannot_run_the_same_tuning(tune):
    def resume(_):
        with pytest.raises(UserError, match="one is already running in another process"):
            next(local.tuning.tune("one"))

    assert tune([[0.5]], resume).trials[0].value == 0.5
    assert next(local.tuning.tune("one")).trials[0].value == 0.5


def test_a_failed_training_raises_its_cause(tune, tmp_path):
    (tmp_path / "data" / "job.json").write_text('"no data"')
    programs.prepare_job(tmp_path / "job", tmp_path / "data", {})
    with pytest.raises(UserError, match="training failed: no data"), programs.training(tmp_path / "job", ""):
        pass


def test_ctrl_c_stops_a_training_in_order(tune, tmp_path):
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell ignores the signal for what it runs in the background
    (tmp_path / "data" / "job.json").write_text(json.dumps([0.1] * 19))
    programs.prepare_job(tmp_path / "job", tmp_path / "data", {})
    rows = tmp_path / "job/output/data/metrics.jsonl"
    with pytest.raises(KeyboardInterrupt), programs.training(tmp_path / "job", ""):
        wait_until(lambda: rows.exists() and rows.read_text(), "a first epoch")
        signal.raise_signal(signal.SIGINT)
    assert 0 < len(rows.read_text().splitlines()) < 19


def test_a_range_replaces_what_suits_the_digits(tmp_path, monkeypatch):
    """The digits' defaults are no fixed values of the user's."""
    monkeypatch.setattr(places, "RUNS", tmp_path)
    monkeypatch.setattr(places, "LATEST", tmp_path / "latest.json")
    data = touch_images(tmp_path / "data", hat=10, pants=10)
    monkeypatch.setattr("local.pictures.data_and_defaults", lambda *_: (data, {"epochs": 4, "weights": "none"}))
    given = {"objective": ACCURACY, "ranges": {"epochs": [2, 3]}, "hyperparameters": {}, "strategy": "Bayesian"}
    given |= {"early_stopping": "Auto", "warm_start": []}
    name = local.tuning.begin_tuning(Namespace(**given, data="", image="", prefix="one", max_jobs=1))
    tuning = Tuning.load(name)
    assert "epochs" in tuning.tuned
    assert tuning.settings["hyperparameters"] == {"weights": "none"}
    assert tuning.settings["images"] == pictures.identity(data)


@pytest.mark.parametrize(
    ("change", "now"),
    [
        (lambda data: shutil.rmtree(data / "shoes"), "20 images in 2 classes"),
        (lambda data: (data / "hat/new.jpg").touch(), "31 images in 3 classes"),
        (lambda data: (data / "hat").rename(data / "cap"), "30 images in 3 classes"),
        (lambda data: (data / "hat/000.jpg").write_text("b"), "30 images in 3 classes"),
    ],
)
def test_trials_of_other_images_are_refused(tune, tmp_path, change, now):
    """Whether the images change before the next trial, or before the tuning is resumed; put back, it goes on."""
    data = touch_images(tmp_path / "data", hat=10, pants=10, shoes=10)
    (data / "hat/000.jpg").write_text("a")
    kept = shutil.copytree(data, tmp_path / "kept")
    images = pictures.identity(data)
    trials = [[0.5], [0.6]]

    def change_after_the_first(tuning):
        if tuning.trials[0].status == "completed":
            change(data)

    refusal = rf"data has {now} \(\w+\), and one began with 30 images in 3 classes \(\w+\); accepted: the same images"
    with pytest.raises(UserError, match=refusal):
        tune(trials, change_after_the_first, images=images)
    with pytest.raises(UserError, match=refusal):
        tune(trials)
    assert [trial.status for trial in Tuning.load("one").trials] == ["completed"]
    with pytest.raises(UserError, match=refusal.replace("one", "one/trial-001")):
        models.begun_job("one/trial-001")  # its artifact would no longer be that of the tuning
    shutil.rmtree(data)
    kept.rename(data)
    assert [trial.value for trial in tune(trials).trials] == [0.5, 0.6]


def test_no_damage_of_the_file_is_a_traceback(tune, tmp_path):
    """Whatever its fields have, a tuning is resumed and its page written, or it is refused in one sentence."""
    tune([[0.5], [0.6, 0.7]])
    file = Tuning.file("one")
    good = json.loads(file.read_text())
    refused, drawn = 0, []
    for what, text in damages.texts(good):
        file.write_text(text)
        try:
            (*_, last) = local.tuning.tune("one")
            if last not in drawn:  # drawing takes most of the time
                drawn.append(last)
                write_page(last, tmp_path / "page.html")
        except UserError as error:
            refused += 1
            assert str(file) in str(error) or str(tmp_path / "data") in str(error), what
            assert len(str(error)) < 2000, what
        except Exception as error:
            raise AssertionError(what) from error
    assert refused > 100


def test_a_tuning_learns_from_an_earlier_one(tune):
    earlier = tune([[0.1], [0.9]])
    Tuning("earlier", ACCURACY, earlier.tuned, earlier.trials).save()
    Tuning.file("one").unlink()
    (trial,) = tune([[0.5]], warm_start=["earlier"]).trials
    assert trial.value == 0.5
    assert trial.hyperparameters["lr"] not in {one.hyperparameters["lr"] for one in earlier.trials}
    found = trials_of(Tuning.load("earlier"), ACCURACY, SEARCH_SPACE)
    assert [one.value for one in found] == [0.1, 0.9]
    assert found[1].params["lr"] == float(earlier.trials[1].hyperparameters["lr"])
    narrow = SEARCH_SPACE | {"batch_size": OneOf((63,))}
    with pytest.raises(UserError, match="none of whose completed trials is within the search ranges"):
        trials_of(Tuning.load("earlier"), ACCURACY, narrow)
    with pytest.raises(UserError, match="earlier, which tuned for validation:accuracy; accepted: for validation:loss"):
        trials_of(Tuning.load("earlier"), "validation:loss", SEARCH_SPACE)
