import errno
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import damages
from classifier.errors import UserError
from local import places, server


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(places, "LATEST", tmp_path / "runs" / "latest.json")
    return tmp_path / "runs"


def test_the_latest_names_are_kept(runs):
    with pytest.raises(UserError, match="nothing is deployed: run launch/deploy.py"):
        places.latest("endpoint")
    places.note(endpoint="dogs", job="one")
    places.note(endpoint="cats")
    assert (places.latest("endpoint"), places.latest("job")) == ("cats", "one")


@pytest.mark.parametrize("text", ["", "{", "[]", "\0\0\0", '{"endpoint": 3}', '{"local_pid": ["1"]}', "[" * 99_999])
def test_a_damaged_file_of_names_is_said_and_the_next_note_sets_it_aside(runs, capsys, text):
    runs.mkdir()
    places.LATEST.write_text(text)
    with pytest.raises(UserError, match=r"runs/latest.json .*: give them as options, or remove it"):
        places.latest("endpoint")
    places.note(job="one")
    assert places.noted() == {"job": "one"}
    error = capsys.readouterr().err
    assert error.startswith(f"{places.LATEST} ")
    assert error.count("\n") == 1
    latest, aside = sorted(runs.glob("latest*"))
    assert (latest, aside.read_text()) == (places.LATEST, text)
    assert aside.name.startswith("latest.json.damaged-")


def test_what_was_set_aside_before_is_kept_and_is_in_nobodys_way(runs, monkeypatch, capsys):
    runs.mkdir()
    (runs / "latest.json.damaged").mkdir()
    for day, text in enumerate("{["):
        monkeypatch.setattr(time, "strftime", lambda form, day=day: f"26010{day}-030405")
        places.LATEST.write_text(text)
        assert places.noted_or_none() == {}
    assert [path.read_text() for path in sorted(runs.glob("*damaged-*"))] == ["{", "["]
    capsys.readouterr()


def test_the_last_server_is_not_known_from_a_damaged_file(runs, capsys):
    runs.mkdir()
    places.LATEST.write_text("")
    assert server.stop() is False
    assert "a server that it named may still run here" in capsys.readouterr().err
    assert server.stop() is False
    assert not capsys.readouterr().err


def test_a_full_disk_is_no_reason_to_fail_where_no_server_runs(runs, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    places.note(local_pid="999999999", local_started="1", local_url="http://127.0.0.1:8080")
    monkeypatch.setattr(places, "write_file", fail)
    assert server.stop() is False
    with pytest.raises(OSError, match="No space"):
        places.note(job="one")


def test_a_name_is_one_that_sagemaker_takes(runs):
    assert re.fullmatch(r"dog-breeds-\d{6}-\d{6}", places.new_name("dog-breeds"))
    for prefix in ("", "dog breeds", "-dogs", "x" * 19, "dogs\n", 5):
        with pytest.raises(ValueError):
            places.PREFIX.parse(prefix)


@pytest.mark.parametrize("name", ["", "a" * 300, "a\0", "../a", "a/b", "a/trial-", "/etc", ".", "é", "a\n", "-a"])
def test_a_name_that_no_job_has_is_refused(runs, name):
    with pytest.raises(UserError, match="the job's name is '.*'; accepted: a name such as resnet18-260102-030405"):
        places.run_folder(name)
    runs.mkdir()
    places.LATEST.write_text(json.dumps({"local_job": name}))
    if name:
        with pytest.raises(UserError, match="runs/latest.json is damaged: local_job is '"):
            places.latest("local_job")


def test_a_jobs_folder(runs):
    for name in (places.new_name("dog-breeds"), "resnet18-260102-030405/trial-001"):
        assert places.run_folder(name) == runs / name


def test_a_package_that_is_missing_is_one_sentence():
    places.need("json", "")
    with pytest.raises(UserError, match="no_such_package is not installed: make launch installs it"):
        places.need("no_such_package", "make launch installs it")


def test_no_two_names_are_the_same_whoever_asks_and_for_what(runs):
    """As of two train.py that are started at once on AWS, which has no folder that could tell them apart."""
    ask = f"import sys; sys.path[:0] = {sys.path}; from local import places; places.RUNS = places.Path({str(runs)!r}); "
    command = [sys.executable, "-c", ask + "print(places.new_name('job'))"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    names = [process.communicate()[0].strip() for process in processes]
    assert len({*names, places.new_name("job")}) == 4


def test_two_processes_never_get_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    with ThreadPoolExecutor() as pool:
        names = list(pool.map(places.new_run, ["job"] * 3))
    assert len(set(names)) == 3
    assert {path.name for path in (tmp_path / "runs").glob("job*")} == set(names)


def test_no_damage_of_the_names_is_a_traceback(runs, capsys):
    names = dict.fromkeys(("tuning", "job", "endpoint", "local_tuning", "local_job"), "resnet18-260102-030405")
    names |= {"data": "s3://a/b/", "local_url": "http://127.0.0.1:8080", "local_pid": "999999999"}
    runs.mkdir()
    refused = 0
    for what, text in damages.texts(names):
        places.LATEST.write_text(text)
        try:
            assert all(isinstance(name, str) for name in places.noted().values()), what
        except UserError as error:
            refused += 1
            assert str(places.LATEST) in str(error), what
        assert server.running() is None, what
    assert refused > 100
    capsys.readouterr()
