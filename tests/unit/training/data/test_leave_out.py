import os
from pathlib import Path

import pytest

from classifier.errors import UserError
from classifier.training.data.folders import read_dataset
from classifier.training.data.leave_out import NAME, LeaveOut, write_list
from classifier.training.data.names import printable
from datasets import touch_images


def test_the_images_that_a_list_names_are_passed_over_and_counted(tmp_path):
    folder = touch_images(tmp_path / "all/train", cat=5, dog=5).parent
    touch_images(folder / "test", cat=3, dog=3)
    (folder / NAME).write_text("# a comment\n\ntrain/cat/001.jpg\n./test/dog/002.jpg\r\ntrain/cat/old.jpg\n")
    dataset = read_dataset({"train": folder}, seed=0)
    assert "cat/001.jpg" not in dataset.train.files + dataset.validation.files
    assert dataset.test.files == tuple(
        f"{name}/{n:03}.jpg" for name, count in (("cat", 3), ("dog", 2)) for n in range(count)
    )
    assert dataset.train.passed_over == {"left out": 1}
    assert dataset.notes == (
        f"2 images left out, as {folder / NAME} says",
        f"{folder / NAME} has 1 line that names no image, such as 'train/cat/old.jpg'; "
        "accepted: a path in its folder on each line",
    )


def test_a_list_in_the_channel_of_a_phase(tmp_path):
    channels = {name: touch_images(tmp_path / name, cat=5, dog=5) for name in ("train", "test")}
    (channels["test"] / NAME).write_text("cat/000.jpg\n")
    assert len(read_dataset(channels, seed=0).test) == 9


@pytest.mark.parametrize(("named_by", "read_by"), [("photos", "link"), ("link", "photos"), ("photos", "photos")])
def test_an_absolute_path_may_name_the_folder_by_another_path(tmp_path, named_by, read_by):
    """As that of a job does, whose folder of images is a link."""
    folder = touch_images(tmp_path / "photos", cat=5, dog=5)
    (tmp_path / "link").symlink_to(folder)
    (folder / NAME).write_text(f"{tmp_path / named_by}/cat/000.jpg\n")
    dataset = read_dataset({"train": tmp_path / read_by}, seed=0)
    assert dataset.notes == (f"1 image left out, as {tmp_path / read_by / NAME} says",)
    assert "cat/000.jpg" not in dataset.train.files + dataset.validation.files


def test_a_list_reached_by_a_link(tmp_path):
    folder = touch_images(tmp_path / "photos", cat=5, dog=5)
    (folder / NAME).write_text("cat/000.jpg\n")
    (tmp_path / "link").symlink_to(folder)
    dataset = read_dataset({"train": tmp_path / "link"}, seed=0)
    assert len(dataset.train) + len(dataset.validation) == 9


def test_a_written_list_is_read_again_whatever_the_names(tmp_path):
    names = ["#1/a.jpg", "b/ c .jpg", os.fsdecode(b"b/\xf1\n.jpg"), "b/#.jpg", " #2/a.jpg"]
    for name in (*names, "#1/keep.jpg", "b/keep.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_list(tmp_path, {tmp_path / name: "copies" for name in names}, {tmp_path / "b/keep.jpg": "dark"})
    leave_out = LeaveOut([tmp_path])
    assert [leave_out.has(tmp_path / name) for name in names] == [True] * 5
    assert not leave_out.has(tmp_path / "b/keep.jpg")
    assert leave_out.notes() == [f"5 images left out, as {tmp_path / NAME} says"]


@pytest.mark.parametrize(
    "line",
    [
        "cat/é.jpg\r# not this\r",
        "  # a note\n\tcat/é.jpg ",
        "cat\\é.jpg",
        "cat//é.jpg",
        "{}/cat/é.jpg",
        "cat/e\u0301.jpg",
    ],
)
def test_a_path_may_be_written_as_other_systems_and_people_write_it(tmp_path, line):
    folder = touch_images(tmp_path / "train", cat=5, dog=5)
    (folder / "cat/000.jpg").rename(folder / "cat/é.jpg")
    (folder / NAME).write_text(line.format(folder), newline="")
    dataset = read_dataset({"train": folder}, seed=0)
    assert "cat/é.jpg" not in dataset.train.files + dataset.validation.files
    assert dataset.notes == (f"1 image left out, as {folder / NAME} says",)


def test_of_two_names_that_look_alike_the_one_that_is_written_is_left_out(tmp_path):
    for name in ("é.jpg", "e\u0301.jpg"):
        (tmp_path / name).touch()
    write_list(tmp_path, {tmp_path / "é.jpg": "copies"}, {})
    assert [LeaveOut([tmp_path]).has(tmp_path / name) for name in ("é.jpg", "e\u0301.jpg")] == [True, False]


ALIKE = ("cat/a\nb.jpg", r"cat/a\nb.jpg", "cat/a/nb.jpg")


@pytest.mark.parametrize("listed", ALIKE)
def test_of_names_that_only_escape_sequences_tell_apart_one_is_left_out(tmp_path, listed):
    for name in ALIKE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    write_list(tmp_path, {tmp_path / listed: "copies"}, {})
    leave_out = LeaveOut([tmp_path])
    assert [name for name in ALIKE if leave_out.has(tmp_path / name)] == [listed]


@pytest.mark.parametrize("name", ["cat/a\nb.jpg", r"cat/a\nb.jpg", "cat/\\\n.jpg", r"cat/a\b.jpg"])
def test_a_list_of_an_earlier_version_or_a_person_is_read(tmp_path, name):
    """It has a backslash as it is."""
    (tmp_path / "cat").mkdir()
    (tmp_path / name).touch()
    (tmp_path / NAME).write_text(f"{printable(name)}\n")
    assert LeaveOut([tmp_path]).has(tmp_path / name)


def test_a_list_of_all_images_of_a_class_is_refused(tmp_path):
    folder = touch_images(tmp_path / "train", cat=2, dog=5)
    (folder / NAME).write_text("cat/000.jpg\ncat/001.jpg\n")
    with pytest.raises(UserError, match=r"leave_out.txt names all images of class folder .*cat; accepted: all but one"):
        read_dataset({"train": folder}, seed=0)


@pytest.mark.parametrize("contents", [b"\xff\xfe\x00", b"cat/\xff.jpg"])
def test_a_list_that_is_no_text_is_refused(tmp_path, contents):
    folder = touch_images(tmp_path / "train", cat=2, dog=5)
    (folder / NAME).write_bytes(contents)
    with pytest.raises(UserError, match=r"leave_out.txt is not text"):
        read_dataset({"train": folder}, seed=0)


def test_a_list_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_list(Path(tmp_path / "absent"), {}, {})
