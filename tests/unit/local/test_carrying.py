"""Moves between class folders on different disks, for which each folder stands here."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from classifier.errors import UserError
from local import carrying
from local.moving import move, undo
from local.relabelling import marked_moves
from marked_labels import files_of, text_of, write_labels, write_splits

LINK = "../../../data/../stored.jpg"
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def data(tmp_path, monkeypatch):
    rename = Path.rename

    def only_within_a_folder(path, target):
        if path.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", only_within_a_folder)
    data = write_splits(tmp_path)
    (tmp_path / "stored.jpg").write_text("stored")
    (data / "train/cat/link.jpg").symlink_to(LINK)
    os.utime(data / "train/cat/000.jpg", (1e9, 1e9))
    return data


@pytest.fixture
def labels(data):
    return write_labels(data, *(("x", "train", f"cat/{name}.jpg", "dog") for name in ("000", "001", "link")))


def fail_at(monkeypatch, owner, function, number, error, name=""):
    """Let the call of this number of a function, of those for a path of this `name` if there is one, raise an error."""
    real, calls = getattr(owner, function), []

    def call(path, *args, **options):
        if not name or Path(path).name == name:
            calls.append(path)
            if len(calls) == number:
                if function == "copyfile":
                    Path(args[0]).write_bytes(b"half")
                raise error
        return real(path, *args, **options)

    monkeypatch.setattr(owner, function, call)


def test_images_move_to_another_disk_and_back(data, labels):
    before = files_of(data)
    move(labels, data, marked_moves(labels, data))
    now = files_of(data)
    assert now["train/dog/000 from cat.jpg"] == before["train/cat/000.jpg"]
    assert "train/cat/000.jpg" not in now
    assert (data / "train/dog/000 from cat.jpg").stat().st_mtime == 1e9  # upload.py goes by it
    assert text_of(data / "train/dog/link.jpg") == "../../../stored.jpg"
    assert undo(labels, data) == (3, [])
    assert files_of(data) == before
    assert text_of(data / "train/cat/link.jpg") == LINK


@pytest.mark.parametrize(("owner", "function"), [(shutil, "copyfile"), (os, "fsync"), (Path, "unlink")])
def test_where_one_cannot_be_carried_all_stay(data, labels, owner, function, monkeypatch):
    before, moves = files_of(data), marked_moves(labels, data)
    if function == "fsync":  # of each copy and its folder, and of the record before all
        fail_at(monkeypatch, owner, function, 5, FULL)
    else:
        fail_at(monkeypatch, owner, function, 1, FULL, "001.jpg")
    with pytest.raises(
        UserError, match=r"train/cat/001.jpg cannot become .*001 from cat.jpg: No space left on device$"
    ):
        move(labels, data, moves)
    monkeypatch.undo()
    assert files_of(data) == before
    assert not labels.with_name("labels.csv.moved.json").exists()


@pytest.mark.parametrize("name", ["000.jpg", "001.jpg", "link.jpg"])
def test_a_move_or_an_undo_that_is_interrupted_loses_nothing(data, labels, name, monkeypatch):
    """At the worst moment, when the image is in both places."""
    before, moves = files_of(data), marked_moves(labels, data)
    with monkeypatch.context() as patched:
        fail_at(patched, Path, "unlink", 1, KeyboardInterrupt(), name)
        with pytest.raises(KeyboardInterrupt):
            move(labels, data, moves)
    assert undo(labels, data) == (3, [])
    assert files_of(data) == before
    move(labels, data, moves)
    with monkeypatch.context() as patched:
        there = next(Path(one.target).name for one in moves if Path(one.source).name == name)
        fail_at(patched, Path, "unlink", 1, KeyboardInterrupt(), there)
        with pytest.raises(KeyboardInterrupt):
            undo(labels, data)
    assert undo(labels, data) == (3, [])
    assert files_of(data) == before


def test_what_was_cut_off_in_a_copy_is_gone_after_undo(data, labels):
    """As where the computer was switched off."""
    moves = marked_moves(labels, data)
    move(labels, data, moves)
    undo(labels, data)
    move(labels, data, moves[1:])
    labels.with_name("labels.csv.moved.json").write_text('{"train/cat/000.jpg": "train/dog/new.jpg"}')
    cut_off = data / "train/dog/.new.jpg.partial"
    cut_off.write_bytes(b"ha")
    (data / "train/dog/new.jpg").write_bytes((data / "train/cat/000.jpg").read_bytes())
    assert undo(labels, data) == (1, [])
    assert not cut_off.exists()
    assert not (data / "train/dog/new.jpg").exists()


def test_an_image_and_itself_by_another_path_are_no_copies(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_text("one")
    (tmp_path / "dog").symlink_to("cat")
    assert not carrying.is_copy(tmp_path / "dog/1.jpg", tmp_path / "cat/1.jpg")
    carrying.drop_copy(tmp_path / "dog/1.jpg", tmp_path / "cat/1.jpg")
    assert (tmp_path / "cat/1.jpg").read_text() == "one"


def test_what_cannot_be_moved_back_either_stays_in_the_record(data, labels, monkeypatch):
    before, moves, copyfile = files_of(data), marked_moves(labels, data), shutil.copyfile

    def fail_from_the_second(old, new, **options):
        if old != data / moves[0].source:
            raise FULL
        return copyfile(old, new, **options)

    monkeypatch.setattr(shutil, "copyfile", fail_from_the_second)
    said = (
        r"001.jpg cannot become .*: No space left on device; 1 image could not be moved back either: --undo tries again"
    )
    with pytest.raises(UserError, match=said):
        move(labels, data, moves)
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    assert undo(labels, data) == (1, [])
    assert files_of(data) == before
