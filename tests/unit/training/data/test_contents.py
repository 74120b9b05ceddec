import os

import pytest

from classifier.training.data import contents
from classifier.training.data.contents import hash_contents
from classifier.training.data.folders import Phase


def phase(folder, count=4, size=10):
    """Return `count` files of the same size, of two classes."""
    names = tuple(f"{'ab'[2 * number // count]}/{number:04}.png" for number in range(count))
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(number.to_bytes(2) * (size // 2))
    return Phase("train", folder, names, tuple(2 * number // count for number in range(count)), {})


def test_the_same_files_elsewhere_have_the_same_hash(tmp_path):
    assert hash_contents(phase(tmp_path / "one")) == hash_contents(phase(tmp_path / "two"))


@pytest.mark.parametrize("count", [4, 1000])
def test_files_that_change_places_have_another_hash(tmp_path, count):
    images = phase(tmp_path, count)
    before = hash_contents(images)
    half = count // 2
    for first, second in zip(images.files[:half], images.files[half:], strict=True):
        (tmp_path / first).rename(tmp_path / "aside")
        (tmp_path / second).rename(tmp_path / first)
        (tmp_path / "aside").rename(tmp_path / second)
    assert hash_contents(images) != before


@pytest.mark.parametrize("at", [0, 5, 94, 99])
def test_a_byte_at_the_ends_of_a_large_file_counts(tmp_path, monkeypatch, at):
    monkeypatch.setattr(contents, "BYTES", 10)
    images = phase(tmp_path, 2, size=100)
    before = hash_contents(images)
    with (tmp_path / images.files[1]).open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    assert hash_contents(images) != before


def test_a_file_that_cannot_be_read_counts_as_empty(tmp_path):
    images = phase(tmp_path)
    before = hash_contents(images)
    (tmp_path / images.files[0]).unlink()
    assert hash_contents(images) != before
    os.mkfifo(tmp_path / images.files[0])
    hash_contents(images)
