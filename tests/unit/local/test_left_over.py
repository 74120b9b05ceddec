import sys

import pytest

from datasets import touch_images
from launch import relabel
from local.left_over import refusals
from marked_labels import write_labels, write_splits

UNTIL = "training refuses it until it is removed, with what it holds, or has an image again"


def relabel_all(monkeypatch, labels, data, *flags):
    monkeypatch.setattr(sys, "argv", ["relabel.py", str(labels), "--data", str(data), *flags])
    relabel.main()


def test_a_class_folder_with_other_files_stays_and_that_is_said(tmp_path, monkeypatch, capsys):
    data = touch_images(tmp_path / "data", cat=2, dog=2, ox=1, cow=1)
    for file in ("cat/notes.txt", "cat/x.heic", "ox/.DS_Store"):
        (data / file).touch()
    marked = (("x", "train", file, "dog") for file in ("cat/000.jpg", "cat/001.jpg"))
    relabel_all(monkeypatch, write_labels(data, *marked), data)
    said = capsys.readouterr().out
    assert f"{data}/cat has no image left, but stays: only 'notes.txt', 'x.heic'; {UNTIL}\n" in said
    assert "2 images moved; --undo moves back" in said
    relabel_all(monkeypatch, tmp_path / "labels.csv", data, "--undo")
    assert "stays" not in capsys.readouterr().out
    (data / "ox/000.jpg").unlink()
    assert refusals(data) == [f"{data}/ox has no image left, but stays: only what is passed over (1 hidden); {UNTIL}"]


def test_what_else_training_refuses_after_a_move_is_said(tmp_path, monkeypatch, capsys):
    data = write_splits(tmp_path)
    labels = write_labels(data, *(("x", "train", f"cat/{number:03}.jpg", "dog") for number in range(3)))
    relabel_all(monkeypatch, labels, data)
    assert f"training refuses {data} as it is now: {data}/train has 1 class folder ('dog')" in capsys.readouterr().out


@pytest.mark.parametrize("moved", [[], ["cat/000.jpg"]])
def test_nothing_is_said_of_a_folder_that_training_takes(tmp_path, monkeypatch, capsys, moved):
    data = write_splits(tmp_path)
    (data / "train/cat/notes.txt").touch()
    if moved:
        relabel_all(monkeypatch, write_labels(data, *(("x", "train", file, "dog") for file in moved)), data)
        assert "refuses" not in capsys.readouterr().out
    assert refusals(data) == []
