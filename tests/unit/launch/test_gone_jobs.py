"""A job or tuning on this computer whose folder is gone or renamed: each script says so, and which there are."""

import os

import pytest

from local import places, server

pytest_plugins = ["aws_account"]
# What a command needs of a job or tuning.
NEEDED = {
    "deploy.py --local --job": "model/model.json",
    "deploy.py --local --multi-model --job": "model/model.json",
    "predict.py --local --prove --job": "output/data/answers.json",
    "predict.py --url 127.0.0.1:1 --prove --job": "output/data/answers.json",
    "train.py --local --resume": "input/config/hyperparameters.json",
    "train.py --local --tuning": "tuning.json",
    "tune.py --local --resume": "tuning.json",
    "tune.py --local --warm-start": "tuning.json",
}


def make(file, *names):
    """Write the file for several jobs, each newer than the one before."""
    for age, name in enumerate(reversed(names)):
        path = places.RUNS / name / file
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        os.utime(path, (10**9 - age, 10**9 - age))


@pytest.mark.parametrize("command", NEEDED)
def test_it_is_said_that_there_is_none_and_which_there_are(account, command):
    kind, file = "tuning" if NEEDED[command] == "tuning.json" else "job", NEEDED[command]
    fault = f"there is no {kind} gone in {places.RUNS}"
    sentence = account.refuses(f"{command} gone")
    assert sentence.startswith(f"{fault}; accepted: the name of a {kind}, of which there is none yet")
    make(file, "first", "tuned/trial-001", "not.a.job", "last")
    sentence = account.refuses(f"{command} gone")
    assert sentence.startswith(f"{fault}; accepted: last, tuned/trial-001, first")
    make(file, *"abcd")
    assert " and 2 more" in account.refuses(f"{command} gone")


@pytest.mark.parametrize(
    ("command", "kind"),
    [("deploy.py --local", "local_job"), ("predict.py --local --prove", "local_job")]
    + [("train.py --local --resume", "local_job"), ("tune.py --local --resume", "local_tuning")],
)
def test_the_latest_too(account, command, kind):
    places.note(**{kind: "gone"})
    assert account.refuses(command).startswith(f"there is no {kind.removeprefix('local_')} gone in {places.RUNS}; ")


def test_a_folder_without_what_is_needed_is_no_job_to_resume(account, monkeypatch):
    """As that of a job on AWS, of which the output alone is here."""
    monkeypatch.setattr(server, "start", lambda *_: 1 / 0)
    make("output/data/answers.json", "cloud")
    for command in ("deploy.py --local --job", "train.py --local --resume"):
        assert account.refuses(f"{command} cloud").startswith(f"{places.RUNS}/cloud has no {NEEDED[command]}; accepted")
