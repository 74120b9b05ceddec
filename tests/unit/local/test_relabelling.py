import csv
import errno
import json
import shutil
import sys
from pathlib import Path

import pytest

from classifier.errors import UserError
from classifier.training.data.folders import read_dataset
from classifier.training.labels.columns import LABELS_COLUMNS
from datasets import touch_images
from launch import relabel
from local.relabelling import marked_moves, move, undo


@pytest.fixture
def data(tmp_path):
    """Splits of images, each of which holds its own name."""
    for split in ("train", "validation", "test"):
        touch_images(tmp_path / "data" / split, cat=3, dog=3)
    for path in (tmp_path / "data").rglob("*.jpg"):
        path.write_text(str(path))
    return tmp_path / "data"


def write_labels(folder, *rows, delimiter=",", encoding="utf-8"):
    path = folder.parent / "labels.csv"
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(LABELS_COLUMNS)
        writer.writerows((mark, phase, name, "cat", likely, 0.01, 0.9) for mark, phase, name, likely in rows)
    return path


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.jpg")}


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
    moves = marked_moves(labels, data)
    assert moves == {"train/cat/001.jpg": "train/dog/001.jpg", "test/cat/000.jpg": "test/dog/000.jpg"}
    move(labels, data, moves)
    assert files_of(data)["train/dog/001.jpg"] == before["train/cat/001.jpg"]
    assert "train/cat/002.jpg" in files_of(data)
    with pytest.raises(UserError, match="have been moved already; --undo moves them back first"):
        marked_moves(labels, data)
    assert undo(labels, data) == 2
    assert files_of(data) == renamed
    with pytest.raises(UserError, match="nothing was moved"):
        undo(labels, data)


def test_ends_of_lines_and_headers_may_be_written_otherwise(data):
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    labels.write_text(labels.read_text().replace("\n", "\r").replace("move,phase", " Move,PHASE "))
    assert marked_moves(labels, data) == {"train/cat/001.jpg": "train/dog/001 from cat.jpg"}


@pytest.mark.parametrize(("delimiter", "line"), [(";", "sep=;"), ("\t", '"sep=\t"'), (",", "SEP=,")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_first_line_that_only_excel_reads_is_no_head(data, delimiter, line, end):
    labels = write_labels(data, ("?", "train", "cat/001.jpg", "dog"), delimiter=delimiter)
    labels.write_bytes(f"{line}\n{labels.read_text()}".replace("\n", end).encode())
    with pytest.raises(UserError, match=r"labels.csv, line 3, has '\?' under move"):
        marked_moves(labels, data)


def test_what_excel_saves_in_the_letters_of_one_country_names_what_is_accepted(data):
    labels = write_labels(data, ("x", "train", "Käse/001.jpg", "dog"), encoding="cp1252")
    with pytest.raises(UserError, match=r'is not text in UTF-8 or UTF-16: .*; accepted from Excel: "CSV UTF-8"'):
        marked_moves(labels, data)


def test_the_line_is_said_that_an_editor_shows(data):
    labels = write_labels(data, ("?", "train", "cat/001.jpg", "dog"))
    labels.write_text(labels.read_text().replace("\n", "\n\n", 1))
    with pytest.raises(UserError, match=r"labels.csv, line 3, has '\?' under move"):
        marked_moves(labels, data)


def test_a_second_column_of_marks_is_refused_rather_than_one_of_them_lost(data):
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    labels.write_text(labels.read_text().replace("probability_likely", "move"))
    with pytest.raises(UserError, match="has 2 columns move; accepted: a labels.csv, with move, phase, "):
        marked_moves(labels, data)


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
    assert undo(labels, data) == 3
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


def test_an_image_that_is_left_out_is_not_taken_for_another_folders(data):
    (data / "leave_out.txt").write_text("train/cat/001.jpg\n")
    with pytest.raises(UserError, match=r"accepted: the job's own folder, and images in it that leave_out.txt does"):
        marked_moves(write_labels(data, ("x", "train", "cat/001.jpg", "dog")), data)


def test_validation_that_is_set_aside_from_train_is_in_its_folder(tmp_path):
    data = touch_images(tmp_path / "data", cat=10, dog=10)
    (data / "cat/003.jpg").rename(data / "cat/new.jpg")
    moves = [
        marked_moves(write_labels(data, ("x", phase, "cat/new.jpg", "dog")), data) for phase in ("train", "validation")
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
    assert undo(labels, data) == 2
    assert files_of(data) == before


def test_a_name_that_is_taken_twice_is_refused(data):
    (data / "train/dog/001 from cat.jpg").write_text("another")
    with pytest.raises(UserError, match="001 from cat.jpg is there already; rename one of the two files"):
        marked_moves(write_labels(data, ("x", "train", "cat/001.jpg", "dog")), data)


def test_undo_says_which_file_is_missing_and_which_name_is_taken(data):
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    move(labels, data, marked_moves(labels, data))
    now, before = data / "train/dog/001 from cat.jpg", data / "train/cat/001.jpg"
    before.write_text("another")
    with pytest.raises(UserError, match=f"{now} cannot become {before}, which is there already; accepted"):
        undo(labels, data)
    before.unlink()
    now.unlink()
    with pytest.raises(
        UserError, match=f"{now} cannot become {before}: it is missing; accepted: .* without their lines"
    ):
        undo(labels, data)


def test_a_link_to_nothing_is_a_name_that_is_taken(data):
    link = data / "train/dog/001.jpg"
    link.unlink()
    link.symlink_to("elsewhere.jpg")
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    assert marked_moves(labels, data) == {"train/cat/001.jpg": "train/dog/001 from cat.jpg"}


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


def test_another_file_is_refused(data):
    (data.parent / "labels.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has no column move; accepted: a labels.csv"):
        marked_moves(data.parent / "labels.csv", data)
    with pytest.raises(UserError, match="is missing; accepted: the labels.csv of a training job"):
        marked_moves(data.parent / "absent.csv", data)


@pytest.mark.parametrize("length", [10, 200_000])
def test_a_quote_that_is_not_closed_hides_no_marks(data, length):
    labels = write_labels(data, ("", "train", "cat/000.jpg", "dog"), ("x", "train", "cat/001.jpg", "dog"))
    lines = labels.read_text().splitlines()
    lines[1] += '"' if length == 10 else f',"{"x" * length}'
    lines[1] = lines[1].replace('0.9"', '"0.9')
    labels.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"labels.csv, line \d, cannot be read: .*; accepted: CSV"):
        marked_moves(labels, data)


def test_a_record_that_leads_out_of_the_folder_is_refused(data):
    labels = write_labels(data)
    labels.with_name("labels.csv.moved.json").write_text(json.dumps({"train/cat/001.jpg": "../../out.jpg"}))
    with pytest.raises(UserError, match="is damaged; accepted: paths in the folder of images"):
        undo(labels, data)
