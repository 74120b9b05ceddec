"""The hyperparameters that train.py begins with, and what it says of them."""

import pytest

from classifier.errors import UserError
from launch.train import best_of_tuning
from local import places
from local.trials import Trial, Tuning
from local.tuning_fields import COMPLETED

OBJECTIVE = "validation:macro_f1"


@pytest.fixture(autouse=True)
def tunings(tmp_path, monkeypatch):
    """One that has finished, and the last one, which was interrupted in its first trial."""
    monkeypatch.setattr(places, "RUNS", tmp_path)
    monkeypatch.setattr(places, "LATEST", tmp_path / "latest.json")
    trial = Trial("done/trial-001", {"lr": "0.002"}, COMPLETED, 0.9)
    Tuning("done", OBJECTIVE, ["lr"], [trial], settings={"data": "/photos"}).save()
    Tuning("begun", OBJECTIVE, ["lr"], [Trial("begun/trial-001", {"lr": "0.01"})]).save()
    places.note(local_tuning="begun")


def test_the_last_tuning_without_a_finished_trial_is_not_used_and_the_way_to_another_is_said(capsys):
    assert best_of_tuning(None, "local_tuning") == {}
    why = f"no trial of begun has finished with a value of {OBJECTIVE}"
    other = "--tuning NAME takes those of another one"
    assert capsys.readouterr().out == f"with no tuning's hyperparameters: {why}; {other}\n"
    with pytest.raises(UserError, match=f"{why}; accepted: a tuning with one that has, or --tuning none"):
        best_of_tuning("begun", "local_tuning")


def test_a_tuning_is_named_with_its_images(capsys):
    """Those of the demo, say, are not the user's."""
    assert best_of_tuning("done", "local_tuning") == {"lr": "0.002"}
    assert capsys.readouterr().out == "with the best hyperparameters of done, which tuned on /photos\n"


def test_without_a_tuning_nothing_is_said(capsys):
    assert best_of_tuning("none", "local_tuning") == best_of_tuning(None, "tuning") == {}
    assert capsys.readouterr().out == ""
