import sys

import pytest

from classifier.errors import UserError
from classifier.training.data.folders import read_dataset
from datasets import touch_images
from launch import relabel
from local.moving import move, undo
from local.relabelling import marked_moves
from marked_labels import files_of, moves_of, write_labels, write_splits


@pytest.fixture
def data(tmp_path):
    return write_splits(tmp_path)


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16")])
def test_marked_images_move_and_back(data, delimiter, encoding):
    before = files_of(data)
    rows = (
        ("x", "train", "cat/001.jpg", "dog"),
        ("", "train", "cat/002.jpg", "dog"),
        (" Yes", "test", "cat/000.jpg", "dog"),
    )
    labels = write_labels(data, *rows, delimiter=delimiter, encoding=encoding)
    for path in ("train/dog/001.jpg", "test/dog/000.jpg"):
        (data / path).rename(data / path.replace("/0", "/9"))
    renamed = files_of(data)
    expected = {"train/cat/001.jpg": "train/dog/001.jpg", "test/cat/000.jpg": "test/dog/000.jpg"}
    assert moves_of(labels, data) == expected
    move(labels, data, marked_moves(labels, data))
    assert files_of(data)["train/dog/001.jpg"] == before["train/cat/001.jpg"]
    assert "train/cat/002.jpg" in files_of(data)
    with pytest.raises(UserError, match="have been moved already; --undo moves them back first"):
        marked_moves(labels, data)
    assert undo(labels, data) == (2, [])
    assert files_of(data) == renamed
    with pytest.raises(UserError, match="nothing was moved"):
        undo(labels, data)


def test_an_image_that_is_left_out_is_not_taken_for_another_folders(data):
    (data / "leave_out.txt").write_text("train/cat/001.jpg\n")
    with pytest.raises(UserError, match=r"accepted: the job's own folder, and images in it that leave_out.txt does"):
        marked_moves(write_labels(data, ("x", "train", "cat/001.jpg", "dog")), data)


def test_validation_that_is_set_aside_from_train_is_in_its_folder(tmp_path):
    data = touch_images(tmp_path / "data", cat=10, dog=10)
    (data / "cat/003.jpg").rename(data / "cat/new.jpg")
    moves = [
        moves_of(write_labels(data, ("x", phase, "cat/new.jpg", "dog")), data) for phase in ("train", "validation")
    ]
    assert moves == [{"cat/new.jpg": "dog/new.jpg"}] * 2


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            ("maybe", "train", "cat/001.jpg", "dog"),
            "has 'maybe' under move; accepted: x, yes, y, 1, true to move; no, n, 0, ",
        ),
        (("x", "train", "cat/absent.jpg", "dog"), "'cat/absent.jpg' is not among the train images"),
        (("x", "train", "../secret.jpg", "dog"), "is not among the train images"),
        (("x", "train", "cat/001.jpg", "ox"), "'ox' is not a class; accepted: cat, dog"),
        (("x", "train", "cat/001.jpg", "cat"), "train/cat/001.jpg is in its likely class already"),
    ],
)
def test_what_cannot_be_moved_is_one_sentence_and_nothing_moves(data, row, sentence):
    before = files_of(data)
    with pytest.raises(UserError, match="line 2") as refused:
        marked_moves(write_labels(data, row), data)
    assert sentence in str(refused.value)
    assert files_of(data) == before


def test_images_that_each_class_numbers_move_under_another_name(data):
    before = files_of(data)
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"), ("x", "test", "cat/001.jpg", "dog"))
    moves = marked_moves(labels, data)
    move(labels, data, moves)
    after = files_of(data)
    assert after["train/dog/001 from cat.jpg"] == before["train/cat/001.jpg"]
    assert after["train/dog/001.jpg"] == before["train/dog/001.jpg"]
    assert len(after) == len(before)
    assert undo(labels, data) == (2, [])
    assert files_of(data) == before


def test_images_that_each_folder_of_a_class_numbers_move_under_the_name_of_the_class(data):
    for name in ("a", "b"):
        (data / "train/cat" / name).mkdir()
        (data / "train/cat" / name / "001.jpg").write_text(name)
    before = files_of(data)
    files = ("cat/a/001.jpg", "cat/b/001.jpg", "cat/001.jpg")
    labels = write_labels(data, *(("x", "train", file, "dog") for file in files))
    names = ("001 from cat", "001 from cat 2", "001 from cat 3")
    assert list(moves_of(labels, data).values()) == [f"train/dog/{name}.jpg" for name in names]
    move(labels, data, marked_moves(labels, data))
    assert undo(labels, data) == (3, [])
    assert files_of(data) == before


@pytest.mark.parametrize("line", ["train/dog/new.jpg", "./train/dog/new.jpg", "train\\dog\\new.jpg"])
def test_a_name_that_leave_out_lists_is_taken_though_its_file_is_gone(data, line):
    (data / "train/cat/001.jpg").rename(data / "train/cat/new.jpg")
    (data / "leave_out.txt").write_text(f"{line}\ntrain/dog/new from cat.jpg\n")
    labels = write_labels(data, ("x", "train", "cat/new.jpg", "dog"))
    move(labels, data, marked_moves(labels, data))
    dataset = read_dataset({"train": data}, seed=0)
    assert "dog/new from cat 2.jpg" in dataset.train.files
    assert len(dataset.train) == 6


def test_a_link_to_nothing_is_a_name_that_is_taken(data):
    link = data / "train/dog/001.jpg"
    link.unlink()
    link.symlink_to("elsewhere.jpg")
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    assert moves_of(labels, data) == {"train/cat/001.jpg": "train/dog/001 from cat.jpg"}


def test_a_file_without_marks_is_said(data, monkeypatch):
    labels = write_labels(data, ("no", "train", "cat/001.jpg", "dog"))
    monkeypatch.setattr(sys, "argv", ["relabel.py", str(labels), "--data", str(data)])
    with pytest.raises(UserError, match=f"{labels} has no mark under move: nothing was moved; accepted: x, "):
        relabel.main()
    assert not labels.with_name(f"{labels.name}.moved.json").exists()


def test_an_image_that_is_marked_twice_is_refused(data):
    row = ("x", "train", "cat/001.jpg", "dog")
    with pytest.raises(UserError, match="line 3: 'cat/001.jpg' is marked twice; accepted: once"):
        marked_moves(write_labels(data, row, row), data)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            "1",
            "line 2: '001/000.jpg' is in class '001', not '1'; a spreadsheet may have changed it, which takes it for a",
        ),
        ("dog", "line 2: '001/000.jpg' is in class '001', not 'dog'; accepted: the job's own file"),
        ("", "line 2: '001/000.jpg' is in class '001', not ''; accepted: the job's own file"),
    ],
)
def test_a_given_class_that_is_not_the_files_is_refused(tmp_path, given, sentence):
    data = touch_images(tmp_path / "data", **{"1": 3, "001": 3, "dog": 3})
    labels = write_labels(data, ("x", "train", "001/000.jpg", "dog"), given=given)
    with pytest.raises(UserError) as refused:
        marked_moves(labels, data)
    assert sentence in str(refused.value)


def test_an_image_does_not_move_into_a_class_that_a_spreadsheet_made_of_another(tmp_path):
    data = touch_images(tmp_path / "data", **{"1": 3, "001": 3, "dog": 3})
    labels = write_labels(data, ("x", "train", "dog/000.jpg", "1"), given="dog")
    with pytest.raises(UserError, match=r"line 2: '1' may be another class; a spreadsheet may have made it of '001'"):
        marked_moves(labels, data)
    kept = write_labels(data, ("x", "train", "dog/000.jpg", "1"), ("x", "train", "dog/001.jpg", "001"), given="dog")
    assert moves_of(kept, data) == {"dog/000.jpg": "1/000 from dog.jpg", "dog/001.jpg": "001/001 from dog.jpg"}
