"""What the demo does before it runs a script: it refuses what it cannot do, and removes earlier ones."""

import sys

import pytest

import demo
from classifier.errors import UserError
from local import places


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(demo, "launch", pytest.fail)
    (tmp_path / "runs/demo-1/trial-001").mkdir(parents=True)
    return tmp_path / "runs"


@pytest.mark.parametrize(
    "flags", ["--hyperparameters epochs=1 epochs=2", "--hyperparameters epochs=1 --hyperparameters epochs=2"]
)
def test_a_hyperparameter_given_twice_is_refused(runs, monkeypatch, flags):
    monkeypatch.setattr(sys, "argv", ["demo.py", *flags.split()])
    with pytest.raises(UserError, match="--hyperparameters has epochs twice, as 1 and as 2"):
        demo.main()
    assert (runs / "demo-1").exists()


def test_an_empty_folder_is_not_the_current_one(runs, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo.py", "--data", ""])
    with pytest.raises(SystemExit):
        demo.main()
    assert "--data: it is empty; accepted: a file or folder" in capsys.readouterr().err
    assert (runs / "demo-1").exists()


def test_two_demos_at_a_time_are_refused(runs, monkeypatch):
    """The second would remove what the first makes."""
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with places.locked(runs / "demo.lock", "another"), pytest.raises(UserError, match="the demo is already running"):
        demo.main()
    assert (runs / "demo-1").exists()


def test_what_earlier_demos_left_is_removed_once_it_is_not_in_use(runs, monkeypatch):
    asked = []
    monkeypatch.setattr(demo.programs, "wait_for_earlier", asked.append)
    demo.remove_earlier()
    assert asked == [runs / "demo-1", runs / "demo-1/trial-001"]
    assert not (runs / "demo-1").exists()
    demo.remove_earlier()


def test_what_cannot_be_removed_is_named_with_its_folder(runs, monkeypatch):
    def rmtree(_):
        raise OSError(39, "Directory not empty", "data")  # Python names it within its folder

    monkeypatch.setattr(demo.shutil, "rmtree", rmtree)
    with pytest.raises(UserError, match=f"{runs}/demo-1, of an earlier demo, cannot be removed: .*not empty: 'data'"):
        demo.remove_earlier()
