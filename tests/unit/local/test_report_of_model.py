"""Model.report: the page of the job whose own model it is, and of no other one."""

import shutil

import pytest

from classifier import artifact
from classifier.artifact_fields import WEIGHTS_FILE
from classifier.training.answers.sample import Sample, Sampled, write
from local import Model, proving

REPORT = "output/data/report.html"


@pytest.fixture
def job(artifact_folder, tmp_path):
    """The folder of a job with model, report and sample."""
    root = tmp_path / "job"
    shutil.copytree(artifact_folder, root / "model")
    (root / REPORT).parent.mkdir(parents=True)
    (root / REPORT).write_text("the report")
    note(root, artifact.read(artifact_folder).sha256[WEIGHTS_FILE])
    return root


def note(root, sha256):
    """Let the job's sample be of the model with these weights."""
    write(root / proving.FILE, Sample(sha256, "test", [Sampled("a.jpg", b"a", {"a": 1.0})]))


def test_a_jobs_own_model_has_its_report(job, monkeypatch):
    assert Model(job).report == Model(job / "model").report == job / REPORT
    monkeypatch.chdir(job / "model")
    assert Model(".").report == job / REPORT
    (job / proving.FILE).write_text("damaged")
    assert Model(job).report == job / REPORT
    (job / proving.FILE).unlink()  # as with answers_sample=0
    assert Model(job).report == job / REPORT


def test_without_a_page_there_is_none(job):
    (job / REPORT).unlink()
    assert Model(job).report is None


def test_a_copy_has_none_also_beside_another_jobs_output(job, tmp_path):
    for name in ("copy", "job/copy"):
        shutil.copytree(job / "model", tmp_path / name)
        assert Model(tmp_path / name).report is None
    note(job, "0" * 64)  # what is in its place is another job's model
    assert Model(job / "model").report is None
