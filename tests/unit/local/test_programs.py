import csv
import itertools
import json
import os
import subprocess
import sys
import threading

import pytest

from classifier.errors import UserError
from classifier.training import imagenet
from classifier.training.lock import InUse
from datasets import digit_jpegs, write_channel
from local import children, pictures, places, programs

# Keeps a folder as a training does, until its input ends.
KEEPER = """
import sys
from pathlib import Path
from classifier.training.lock import lock
lock(Path(sys.argv[2]))
print("kept", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pictures").mkdir()
    programs.prepare_job(tmp_path / "job", tmp_path / "pictures", {"lr": "0.1"})
    return tmp_path / "job"


def test_a_job_is_laid_out_as_sagemaker_does(root):
    assert json.loads((root / "input/config/hyperparameters.json").read_text()) == {"lr": "0.1"}
    assert json.loads((root / "input/config/inputdataconfig.json").read_text()) == {
        "train": {"TrainingInputMode": "File"}
    }
    assert (root / "input/data/train").resolve() == root.parent / "pictures"
    programs.prepare_job(root, root.parent, {})
    assert (root / "input/data/train").resolve() == root.parent


def engine(folder, *names):
    """Return a PATH with only programs of these names, which print their arguments."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("name", ["docker", "podman", "finch"])
def test_a_program_runs_in_the_image(root, tmp_path, monkeypatch, name):
    monkeypatch.setenv("PATH", engine(tmp_path / "bin", name, "nvidia-smi"))
    monkeypatch.setattr(os, "getuid", lambda: 7)
    pictures = tmp_path / "pictures"
    command = programs.container_command("train", root, "an-image", 0)
    assert command[:3] == [name, "run", "--rm"]
    mounts = [after for before, after in itertools.pairwise(command) if before == "--mount"]
    assert mounts == [
        f"type=bind,source={root},target=/opt/ml",
        f"type=bind,source={pictures},target={pictures},readonly",
    ]
    assert ("--gpus" in command, "--user" in command) == (True, name != "podman")
    assert command[-2:] == ["an-image", "train"]
    command = programs.container_command("serve", root, "an-image", 8123, {"A": "b"})
    assert command[command.index("-e") + 1] == "A=b"
    assert "127.0.0.1:8123:8080" in command
    assert command.count("--mount") == 1  # the pictures may have moved by then


@pytest.mark.parametrize("name", ["a:b", "a,b", 'a"b', "a b", "a:b,c\n,d"])
def test_the_path_of_a_folder_may_have_any_character(tmp_path, name):
    option, row = programs.mount(tmp_path / name, "/opt/ml")
    assert option == "--mount"
    assert list(csv.reader([row])) == [["type=bind", f"source={tmp_path / name}", "target=/opt/ml"]]


def test_an_engine_that_does_not_answer_is_skipped(root, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", engine(tmp_path / "bin", "docker", "podman"))
    (tmp_path / "bin" / "docker").write_text("#!/bin/sh\nexit 1\n")  # its daemon does not run
    assert programs.container_command("train", root, "an-image", 0)[0] == "podman"


def test_without_an_engine_or_a_folder_it_is_one_sentence(root, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", engine(tmp_path / "bin"))
    with pytest.raises(
        UserError, match="--image needs a container engine that runs; accepted: docker, podman or finch"
    ):
        programs.container_command("train", root, "an-image", 0)
    with pytest.raises(UserError, match="absent is not a folder"):
        pictures.data_and_defaults("absent", "")


def test_a_start_without_imagenets_weights_is_said_once_and_first(tmp_path, monkeypatch, capsys):
    folder = write_channel(tmp_path, "train", digit_jpegs((0, 1), 0, 4))
    monkeypatch.setattr(imagenet, "FOLDER", tmp_path)
    pictures.warn_without_weights.cache_clear()
    for _ in range(2):
        assert pictures.data_and_defaults(str(folder), "") == (folder, {"weights": "none"})
    told = capsys.readouterr().out
    assert told.count("make weights fetches them (45 MB)") == 1
    (tmp_path / imagenet.FILE).touch()
    assert pictures.data_and_defaults(str(folder), "") == (folder, {})
    assert capsys.readouterr().out == ""


def test_a_training_waits_for_the_one_before_it_or_names_its_process(root, tmp_path, monkeypatch, capsys):
    """A training whose script was killed takes a while to stop."""
    (tmp_path / "train").write_text(KEEPER)
    command = [sys.executable, tmp_path / "train", "--root", root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout.readline() == "kept\n"
        monkeypatch.setattr(children, "STOP_SECONDS", 0)
        with pytest.raises(InUse, match=f"process {keeper.pid} still works in {root}; accepted: one training"):
            programs.prepare_job(root, tmp_path, {})
        monkeypatch.setattr(children, "STOP_SECONDS", 60)
        timer = threading.Timer(0.3, keeper.stdin.close)
        timer.start()
        monkeypatch.setattr(places, "CONTAINER", tmp_path / "none")
        with pytest.raises(programs.TrainingFailed), programs.training(root, ""):
            assert keeper.wait(60) == 0
    assert f"process {keeper.pid} still works in {root}: waiting until it has stopped" in capsys.readouterr().err
