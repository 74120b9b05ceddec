"""deploy.py --local: beside another one, without the job's pictures, and with many models in one server."""

import json
import shutil

import pytest

from helpers import encode, photo
from local import many, places, programs, sending, server

pytest_plugins = ["aws_account"]
URL = "http://127.0.0.1:1"
ANSWER = {"predictions": [{"class": "pug", "probability": 1.0}]}


@pytest.fixture
def sent(account, monkeypatch):
    """The pictures that a server got, which starts at once and answers ANSWER."""
    sent: list[bytes] = []

    def send(data):
        sent.append(data)
        return json.dumps(ANSWER).encode()

    monkeypatch.setattr(server, "start", lambda *_: URL)
    monkeypatch.setattr(sending, "sender", lambda *_: send)
    return sent


def trained(name, pictures):
    """Make the folder of a job on a folder of pictures, of which the first cannot be read."""
    root = places.run_folder(name)
    (root / "model").mkdir(parents=True)
    (root / "model/model.json").write_text(json.dumps(name))
    (pictures / "pug").mkdir(parents=True, exist_ok=True)
    (pictures / "pug/1.jpg").write_text("no picture")
    (pictures / "pug/2.jpg").write_bytes(encode(photo(32, 32)))
    programs.prepare_job(root, pictures, {}, "2 images")


def test_one_at_a_time(account, tmp_path, monkeypatch):
    """Each ends the server that was started before it."""
    trained("dogs", tmp_path / "pictures")
    monkeypatch.setattr(server, "start", lambda *_: 1 / 0)
    with places.locked(places.RUNS / "server.lock", "another"):
        code, out = account.run("deploy.py --local --job dogs")
    assert code == "deploy.py --local is already running in another process"
    assert not out


def test_a_picture_of_the_training_that_can_be_read_is_sent(account, sent, tmp_path):
    trained("dogs", tmp_path / "pictures")
    assert "pug/2.jpg" in account.does("deploy.py --local --job dogs")
    assert sent == [(tmp_path / "pictures/pug/2.jpg").read_bytes()]


@pytest.mark.parametrize("flags", ["", "--multi-model"])
def test_a_job_whose_pictures_have_moved_is_served_all_the_same(account, sent, tmp_path, monkeypatch, flags):
    monkeypatch.setattr(many, "ask", lambda *_: {"models": []})
    trained("dogs", tmp_path / "pictures")
    (tmp_path / "pictures").rename(tmp_path / "moved")
    out = account.does(f"deploy.py --local --job dogs {flags}")
    channel = places.RUNS / "dogs/input/data/train"
    assert f"no picture is sent, since none can be read in {channel}: --picture FILE sends one\n" in out
    assert not sent
    assert "pug/2.jpg" in account.does(f"deploy.py --local --job dogs --picture {tmp_path}/moved/pug/2.jpg")
    sentence = account.refuses("train.py --local --resume dogs")  # which does need them
    assert sentence.startswith(f"{channel} is a link to {tmp_path}/pictures, where nothing is; accepted: the job's")


def test_a_picture_without_a_class_is_told_by_the_exit_code(account, sent, tmp_path, monkeypatch):
    """As of predict.py."""
    trained("dogs", tmp_path / "pictures")
    monkeypatch.setattr(sending, "sender", lambda *_: lambda _: b'{"error": "not a picture"}')
    for command in ("deploy.py --local --job dogs --picture", f"predict.py --url {URL}"):
        code, out = account.run(f"{command} {tmp_path}/pictures/pug/1.jpg")
        assert (code, "1 of 1 without a class" in out) == (1, True)


def test_whose_model_a_name_had_before_is_said(account, sent, tmp_path, monkeypatch):
    asked: list[tuple] = []
    monkeypatch.setattr(many, "ask", lambda method, url, *_: asked.append((method, url)) or {"models": []})
    for job in ("dogs", "cats"):
        trained(job, tmp_path / "pictures")
    command = "deploy.py --local --multi-model --model one --job"
    assert " had " not in account.does(f"{command} dogs")
    monkeypatch.setattr(many, "running", lambda: URL)
    out = account.does(f"{command} cats")
    assert f"loading cats's model as one into the server at {URL}\none had dogs's model, and has cats's now\n" in out
    assert "starting a server" not in out
    assert ("DELETE", f"{URL}/models/one") in asked
    assert " had " not in account.does(f"{command} cats")
    place = places.RUNS / "multi-model/models/one"
    assert sorted(path.name for path in place.iterdir()) == ["job", "model"]
    (place / "job").unlink()  # as an earlier version left it
    assert "one had another model, and has dogs's now\n" in account.does(f"{command} dogs")


def test_a_model_that_cannot_be_copied_leaves_the_one_before(account, sent, tmp_path, monkeypatch):
    monkeypatch.setattr(many, "ask", lambda *_: {"models": []})
    monkeypatch.setattr(many, "running", lambda: URL)
    for job in ("dogs", "cats"):
        trained(job, tmp_path / "pictures")
    command = "deploy.py --local --multi-model --model one --job"
    account.does(f"{command} dogs")
    asked: list[str] = []
    monkeypatch.setattr(many, "ask", lambda method, *_: asked.append(method))

    def fail(*_):
        raise many.UserError("the disk is full")

    monkeypatch.setattr(shutil, "copytree", fail)
    assert account.refuses(f"{command} cats") == "the disk is full"
    assert not asked
    assert json.loads((places.RUNS / "multi-model/models/one/model/model.json").read_text()) == "dogs"
