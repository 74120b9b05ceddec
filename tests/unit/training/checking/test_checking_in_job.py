"""The check of a job's data in its process."""

import multiprocessing
import os
import re
import signal
import time

import psutil
import pytest

from classifier.training.checking import in_job
from classifier.training.checking import survey as looking
from classifier.training.checking.in_job import Checking
from classifier.training.data.folders import read_dataset
from helpers import photo
from waits import PATIENCE_S, wait_until


@pytest.fixture
def dataset(tmp_path):
    """Eight photos, of which two are the same."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            seed = 0 if number == 3 else number + 10 * (name == "dog")
            photo(60 + number, 40, seed=seed).save(tmp_path / name / f"{number}.jpg")
    return read_dataset({"train": tmp_path}, seed=0)


def test_faults_are_logged_and_reported_with_their_images(dataset, caplog):
    caplog.set_level("INFO")
    checking = Checking(dataset)
    checking.listener.join(PATIENCE_S)
    found = checking.finish()
    assert found.survey.looked_at == 8
    assert found.survey.dataset is dataset
    assert found.findings
    assert re.search(r"data: 8 of 8 images were looked at in \d+\.\d s$", caplog.text, re.MULTILINE)
    assert caplog.text.count(f"data: {found.findings[0].what}; {found.findings[0].advice}") == 1
    shown = [found.survey.shown(one) for finding in found.findings for group in finding.groups for one in group]
    assert any(name.endswith("cat/3.jpg") for name in shown)


def test_the_job_goes_on_meanwhile_and_takes_what_was_seen_at_its_end(dataset, monkeypatch, caplog):
    caplog.set_level("INFO")
    note, third, over = looking.Survey.note, multiprocessing.Event(), multiprocessing.Event()

    def note_slowly(self, *seen):
        note(self, *seen)
        if self.looked_at == 3:
            third.set()
            over.wait(PATIENCE_S)

    monkeypatch.setattr(looking.Survey, "note", note_slowly)
    monkeypatch.setattr(looking, "usable_cores", lambda: 1)
    checking = Checking(dataset)
    assert third.wait(PATIENCE_S)
    assert checking.found is None
    checking.look_no_further()
    over.set()
    checking.listener.join(PATIENCE_S)
    found = checking.finish()
    assert found.survey.looked_at == 3
    assert found.survey.readable[[6, 7]].all()  # of validation
    assert re.search(r"data: 3 of 8 images were looked at in .*; launch/check.py looks at all$", caplog.text)
    assert not checking.process.is_alive()


def test_a_job_waits_a_second_for_findings_that_take_long(dataset, monkeypatch, caplog):
    monkeypatch.setattr(in_job, "find_faults", lambda found: time.sleep(2 * PATIENCE_S))
    checking = Checking(dataset)
    started = time.monotonic()
    assert checking.finish() is None
    assert in_job.LAST_SECONDS <= 1
    assert time.monotonic() - started < PATIENCE_S / 10
    assert "the data were not checked: the job was over before" in caplog.text


def test_a_file_that_hangs_does_not_hang_the_job(dataset, monkeypatch, caplog):
    monkeypatch.setattr(looking, "_look", lambda numbered: time.sleep(2 * PATIENCE_S))
    assert Checking(dataset).finish(0.1) is None
    assert caplog.text.count("the data were not checked: the job was over before") == 1
    assert "its process has ended" not in caplog.text


def test_a_check_that_fails_does_not_fail_the_job(dataset, monkeypatch, caplog):
    monkeypatch.setattr(in_job, "find_faults", lambda found: 1 / 0)
    assert Checking(dataset).finish(PATIENCE_S) is None
    assert "the data were not checked: ZeroDivisionError: division by zero" in caplog.text


def test_a_check_that_is_killed_does_not_fail_the_job(dataset, monkeypatch, caplog):
    monkeypatch.setattr(looking, "_look", lambda numbered: os.kill(os.getpid(), signal.SIGKILL))
    assert Checking(dataset).finish(PATIENCE_S) is None
    assert "the data were not checked: its process has ended" in caplog.text


def test_a_job_that_fails_ends_its_check_without_a_word(dataset, monkeypatch, caplog):
    monkeypatch.setattr(looking, "_look", lambda numbered: time.sleep(2 * PATIENCE_S))
    with pytest.raises(ZeroDivisionError), Checking(dataset) as checking:
        raise ZeroDivisionError
    assert not checking.process.is_alive()
    assert not caplog.messages


def test_a_check_whose_job_was_killed_ends(dataset, monkeypatch):
    look = looking._look
    monkeypatch.setattr(looking, "_look", lambda numbered: (time.sleep(0.1), look(numbered))[1])
    reader, writer = os.pipe()
    if not (job := os.fork()):
        os.write(writer, str(Checking(dataset).process.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(job, 0)
    check = int(os.read(reader, 20))
    wait_until(lambda: not is_running(check), "the check ends")


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # which nobody has asked about
    except psutil.NoSuchProcess:
        return False
