import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from classifier.errors import UserError
from classifier.training.data.folders import read_dataset
from launch import relabel
from local.moving import move, undo
from local.relabelling import marked_moves
from marked_labels import files_of, text_of, write_labels, write_splits


@pytest.fixture
def data(tmp_path):
    return write_splits(tmp_path)


@pytest.mark.parametrize("count", [1, 3])
def test_folders_without_images_which_training_refuses_are_not_left(data, count, monkeypatch, capsys):
    before = files_of(data)
    shutil.rmtree(data / "test/dog")
    labels = write_labels(data, *(("x", "test", f"cat/{number:03}.jpg", "dog") for number in range(count)))
    monkeypatch.setattr(sys, "argv", ["relabel.py", str(labels), "--data", str(data)])
    relabel.main()
    gone = f"{data}/test/cat has no image left: it is removed\n"
    assert (gone in capsys.readouterr().out) == (count == 3)
    read_dataset({"train": data}, seed=0)
    undo(labels, data)
    assert not (data / "test/dog").exists()
    assert files_of(data) == {path: text for path, text in before.items() if not path.startswith("test/dog")}


def let_rename_fail(monkeypatch, error):
    """Let the second image that is to be moved raise `error` instead."""
    rename = Path.rename

    def fail(path, target):
        if path.name == "001.jpg":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)


def test_a_move_that_was_interrupted_can_be_undone(data, monkeypatch):
    before = files_of(data)
    labels = write_labels(data, *(("x", "train", f"cat/{number:03}.jpg", "dog") for number in range(3)))
    moves = marked_moves(labels, data)
    let_rename_fail(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        move(labels, data, moves)
    monkeypatch.undo()
    assert files_of(data) != before
    assert undo(labels, data) == (3, [])
    assert files_of(data) == before


def test_where_one_file_cannot_be_moved_all_stay_and_no_folder_is_made(data, monkeypatch):
    shutil.rmtree(data / "test/dog")
    before = files_of(data)
    labels = write_labels(data, *(("x", "test", f"cat/{number:03}.jpg", "dog") for number in range(2)))
    moves = marked_moves(labels, data)
    let_rename_fail(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "001.jpg"))
    with pytest.raises(UserError, match=r"test/cat/001.jpg cannot become .*test/dog/001.jpg: Permission denied$"):
        move(labels, data, moves)
    assert files_of(data) == before
    assert not (data / "test/dog").exists()
    assert not labels.with_name("labels.csv.moved.json").exists()


def test_undo_in_another_folder_keeps_the_record(data):
    before = files_of(data)
    shutil.copytree(data, data.parent / "copy")
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    move(labels, data, marked_moves(labels, data))
    with pytest.raises(UserError, match="copy has no image that .*json says was moved; accepted: the folder that was"):
        undo(labels, data.parent / "copy")
    undo(labels, data)
    assert files_of(data) == before


def test_undo_moves_back_what_it_can_and_its_record_keeps_the_rest(data, monkeypatch, capsys):
    original = files_of(data)
    labels = write_labels(data, *(("x", "train", f"cat/{number:03}.jpg", "dog") for number in range(3)))
    move(labels, data, marked_moves(labels, data))
    taken, missing = data / "train/cat/000.jpg", data / "train/dog/001 from cat.jpg"
    taken.parent.mkdir()
    taken.write_text("another")
    missing.unlink()
    monkeypatch.setattr(sys, "argv", ["relabel.py", str(labels), "--data", str(data), "--undo"])
    with pytest.raises(UserError, match=r"^2 images could not be moved back; accepted: --undo again once .*moved.json"):
        relabel.main()
    said = capsys.readouterr().out
    assert f"{data}/train/dog/000 from cat.jpg cannot become {taken}, which is there already\n" in said
    assert f"{missing} cannot become {data}/train/cat/001.jpg: it is missing\n" in said
    assert "1 image is in its folder of before" in said
    assert files_of(data)["train/cat/002.jpg"] == original["train/cat/002.jpg"]
    taken.unlink()
    assert undo(labels, data)[0] == 1
    assert files_of(data)["train/cat/000.jpg"] == original["train/cat/000.jpg"]
    with pytest.raises(UserError, match=r"if these images are gone, the record removed$"):
        undo(labels, data)


@pytest.fixture
def link(data):
    """A relative link to an image outside the data, in a folder of a class that is a link itself."""
    (data.parent / "store/deep").mkdir(parents=True)
    (data.parent / "store/deep/one.jpg").write_text("stored")
    (data.parent / "around").symlink_to("store/deep")
    (data / "train/cat").rename(data.parent / "cats")
    (data / "train/cat").symlink_to("../../cats")
    folder = data.parent / "cats/sub"
    folder.mkdir()
    (folder / "link.jpg").symlink_to("../.././around/../deep/one.jpg")
    assert (folder / "link.jpg").read_text() == "stored"
    return data / "train/cat/sub/link.jpg"


def test_a_relative_link_leads_to_its_image_wherever_it_is_moved(data, link):
    says = text_of(link)
    labels = write_labels(data, ("x", "train", "cat/sub/link.jpg", "dog"), ("x", "train", "cat/001.jpg", "dog"))
    move(labels, data, marked_moves(labels, data))
    moved = data / "train/dog/link.jpg"
    assert moved.is_symlink()
    assert moved.read_text() == "stored"
    assert not text_of(moved).startswith("/")
    assert not link.parent.exists()
    read_dataset({"train": data}, seed=0)
    assert undo(labels, data) == (2, [])
    assert text_of(link) == says
    assert not os.path.lexists(moved)


@pytest.mark.parametrize("leads_to", ["/absent.jpg", "absent.jpg"])
def test_a_link_to_nothing_is_moved_and_back(data, leads_to):
    (data / "train/cat/link.jpg").symlink_to(leads_to)
    labels = write_labels(data, ("x", "train", "cat/link.jpg", "dog"))
    move(labels, data, marked_moves(labels, data))
    assert text_of(data / "train/dog/link.jpg") == (leads_to if leads_to[0] == "/" else f"../cat/{leads_to}")
    assert undo(labels, data) == (1, [])
    assert text_of(data / "train/cat/link.jpg") == leads_to


@pytest.mark.parametrize("works", [0, 1])
def test_a_link_whose_move_or_undo_was_interrupted_says_in_the_end_what_it_said(data, link, works, monkeypatch):
    says = text_of(link)
    labels = write_labels(data, ("x", "train", "cat/sub/link.jpg", "dog"), ("x", "train", "cat/001.jpg", "dog"))
    symlink_to, made = Path.symlink_to, []

    def interrupt(path, target):
        made.append(path)
        if len(made) > works:
            raise KeyboardInterrupt
        symlink_to(path, target)

    monkeypatch.setattr(Path, "symlink_to", interrupt)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 # either may be the one
        move(labels, data, marked_moves(labels, data))
        undo(labels, data)
    monkeypatch.undo()
    assert undo(labels, data) == (2, [])
    assert text_of(link) == says


def test_where_a_link_cannot_be_written_all_stay(data, link, monkeypatch):
    says, before = text_of(link), files_of(data)
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"), ("x", "train", "cat/sub/link.jpg", "dog"))
    moves = marked_moves(labels, data)

    def fail(path, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "symlink_to", fail)
    with pytest.raises(UserError, match=r"cat/sub/link.jpg cannot become .*dog/link.jpg: No space left on device$"):
        move(labels, data, moves)
    assert text_of(link) == says
    assert files_of(data) == before


@pytest.mark.parametrize("entry", ["../../out.jpg", ["../../out.jpg", "link"], [], 1])
def test_a_record_that_leads_out_of_the_folder_is_refused(data, entry):
    labels = write_labels(data)
    labels.with_name("labels.csv.moved.json").write_text(json.dumps({"train/cat/001.jpg": entry}))
    with pytest.raises(UserError, match="is damaged; accepted: paths in the folder of images"):
        undo(labels, data)
