"""What tune.py says when a tuning has ended."""

import sys
from dataclasses import replace

import pytest

from launch import tune
from local import page, pictures, places
from local.trials import Trial, Tuning
from local.tuning_fields import COMPLETED

TRIAL = Trial("done/trial-001", {"lr": "0.002"}, COMPLETED, 0.9)
TUNING = Tuning("done", "validation:accuracy", ["lr"], [TRIAL])


@pytest.fixture
def end(tmp_path, monkeypatch):
    """Let tune.py come to its end, where it tuned on `data` on this computer, and with `flags`."""
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(places, "LATEST", tmp_path / "runs/latest.json")

    def run(data, flags):
        monkeypatch.setattr(sys, "argv", ["tune.py", *flags.split()])
        ended = replace(TUNING, settings={"data": str(data)} if data else {})
        monkeypatch.setattr(tune, "tune_here", lambda settings: ended)
        monkeypatch.setattr(tune, "tune_on_aws", lambda settings: ended)
        tune.main()

    return run


@pytest.mark.parametrize(
    ("data", "flags", "advised"),
    [
        ("/my photos", "--local --data my", "launch/train.py --local --data '/my photos' trains"),
        ("/photos", "--local --resume", "launch/train.py --local --data /photos trains"),
        ("", "--local", "launch/train.py --local trains"),
        (None, "--data s3://b/photos", "launch/train.py --data s3://b/photos trains"),
        (None, "--data photos", "launch/train.py trains"),
        (None, "--resume", "launch/train.py trains"),
    ],
)
def test_the_advised_training_is_on_the_same_images(end, data, flags, advised, capsys):
    end(pictures.digits_folder() / "data" if data == "" else data, flags)
    assert f"; {advised} with its hyperparameters\n" in capsys.readouterr().out


def test_the_trials_are_shown_where_the_page_cannot_be_written(end, monkeypatch, capsys):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "write_page", fail)
    with pytest.raises(OSError, match="No space left"):
        end("/photos", "--local")
    assert "0.9" in capsys.readouterr().out
