import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.data.skipped import SkippedImages
from classifier.training.outputs import WRITTEN, check_outputs, remove_earlier_outputs
from classifier.training.profiling.profiler import Profile
from classifier.training.reporting.csv_files import write_csv_files
from classifier.training.reporting.report import write_report
from summaries import make_summary


def test_what_an_earlier_job_wrote_goes_and_all_else_stays(tmp_path):
    contract = Contract(tmp_path, {})
    contract.output_data.mkdir(parents=True)
    for name in (*WRITTEN, "labels.csv", "notes.csv", ".report.html.partial"):
        (contract.output_data / name).touch()
    check_outputs(contract)
    assert {path.name for path in contract.output_data.iterdir()} == {
        *(*WRITTEN, "labels.csv", "notes.csv", ".report.html.partial")
    }
    remove_earlier_outputs(contract)
    assert [path.name for path in contract.output_data.iterdir()] == ["notes.csv"]


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: path.symlink_to("..")])
def test_what_is_no_folder_in_the_place_of_the_tensors_is_refused(tmp_path, make):
    contract = Contract(tmp_path, {})
    contract.output_data.mkdir(parents=True)
    check_outputs(contract)
    make(contract.output_data / "tensors")
    with pytest.raises(
        UserError, match=f"^{contract.output_data}/tensors is not a folder; accepted: nothing there, or"
    ):
        check_outputs(contract)


def test_a_link_to_a_folder_is_written_to_and_one_to_nothing_is_refused(tmp_path):
    contract = Contract(tmp_path / "job", {})
    contract.output_data.parent.mkdir(parents=True)
    contract.output_data.symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match="^.*/output/data is not a folder; accepted: "):
        check_outputs(contract)
    (tmp_path / "disk").mkdir()
    check_outputs(contract)


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk]).returncode:
        pytest.skip("needs root and mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_leaves_whole_files(small_disk, tmp_path):
    """Those of before, or none: never the half of a table, a page or a figure."""
    (small_disk / "skipped_images.csv").write_text("of before\n")
    (small_disk / "filling").write_bytes(bytes(56_000))
    summary = make_summary(tmp_path)
    long = dataclasses.replace(summary.dataset, classes=("a" * 20_000, *summary.dataset.classes[1:]))
    skipped = SkippedImages()
    with pytest.raises(OSError, match="No space left on device: '.*/test_predictions.csv'"):
        write_csv_files(small_disk, long, summary.evaluation, skipped)
    for write in (
        lambda path: write_report(path, summary),
        lambda path: Profile(spans={"training": 1.0}).write_json(path, ["x" * 20_000]),
    ):
        with pytest.raises(OSError, match="No space left on device: '.*/page'"):
            write(small_disk / "page")
    assert sorted(path.name for path in small_disk.iterdir()) == ["filling", "skipped_images.csv"]
    assert (small_disk / "skipped_images.csv").read_text() == "phase,file,reason\n"
