"""The demo's images are all there or not at all."""

import shutil

import pytest
from PIL import Image

from local.digits import write_digits


def test_digits_that_are_interrupted_leave_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        write_digits(tmp_path / "digits")
    assert not list(tmp_path.iterdir())


def test_digits_that_another_process_writes_meanwhile_are_taken(tmp_path, monkeypatch):
    folder, save = tmp_path / "digits", Image.Image.save

    def save_while_another_writes(image, path):
        monkeypatch.setattr(Image.Image, "save", save)
        shutil.copytree(write_digits(tmp_path / "other"), folder / "data")
        save(image, path)

    monkeypatch.setattr(Image.Image, "save", save_while_another_writes)
    assert write_digits(folder) == folder / "data"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits", "other"]
