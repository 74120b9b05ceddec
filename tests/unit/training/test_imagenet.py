import hashlib

import pytest

from classifier.errors import UserError
from classifier.training.imagenet import FILE, FOLDER, checked_file


def fill(folder, recorded):
    (folder / FILE).write_bytes(b"weights")
    (folder / f"{FILE}.sha256").write_text(f"{recorded}  {FILE}\n")


def test_a_file_with_its_recorded_hash(tmp_path):
    fill(tmp_path, hashlib.sha256(b"weights").hexdigest())
    assert checked_file(tmp_path) == tmp_path / FILE


def test_another_hash_is_refused(tmp_path):
    fill(tmp_path, "0" * 64)
    with pytest.raises(
        UserError, match=f"{FILE} has SHA-256 [0-9a-f]{{64}}; expected: {'0' * 64}, as {FILE}.sha256 says"
    ):
        checked_file(tmp_path)


@pytest.mark.parametrize("text", ["", " \n", "\0"])
def test_a_record_without_a_hash_is_refused(tmp_path, text):
    fill(tmp_path, "")
    (tmp_path / f"{FILE}.sha256").write_text(text)
    with pytest.raises(UserError, match=f"{FILE} has SHA-256 [0-9a-f]{{64}}; expected: "):
        checked_file(tmp_path)


def test_a_record_in_capitals_and_with_a_byte_order_mark(tmp_path):
    fill(tmp_path, "")
    recorded = f"{hashlib.sha256(b'weights').hexdigest().upper()} *{FILE}\r\n"
    (tmp_path / f"{FILE}.sha256").write_text(recorded, encoding="utf-8-sig")
    assert checked_file(tmp_path) == tmp_path / FILE


@pytest.mark.parametrize("present", [FILE, f"{FILE}.sha256"])
def test_half_of_the_pair_is_not_enough(tmp_path, present):
    (tmp_path / present).touch()
    with pytest.raises(UserError, match="weights=imagenet, but there is no "):
        checked_file(tmp_path)


def test_the_folder_lies_beside_the_package():
    assert (FOLDER.parent / "classifier" / "network.py").exists()
