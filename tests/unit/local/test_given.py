import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.errors import UserError
from local import given


@pytest.mark.parametrize("picture", [Image.new("RGB", (2, 2)), np.zeros((2, 2, 3)), [b"data"], None, 3, "", "a\0b"])
def test_a_picture_is_a_path_or_bytes(picture):
    with pytest.raises(UserError, match="is not accepted; accepted: the path of a picture, or the bytes of its file$"):
        given.file_bytes(picture)


def test_bytes_and_the_file_of_them_are_the_same(tmp_path):
    (tmp_path / "file").write_bytes(b"data")
    forms = (tmp_path / "file", str(tmp_path / "file"), b"data", bytearray(b"data"), memoryview(b"data"))
    assert {given.file_bytes(form) for form in forms} == {b"data"}


def test_what_may_never_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero"), tmp_path):
        with pytest.raises(UserError, match=f"{path} is not a regular file"):
            given.file_bytes(path)
    with pytest.raises(FileNotFoundError):
        given.file_bytes(tmp_path / "absent.jpg")


@pytest.mark.parametrize("k", [-1, 0, 1.5, "2", None, True, float("nan")])
def test_k_is_a_whole_number_from_1(k):
    with pytest.raises(UserError, match="k is .*; accepted: a whole number from 1"):
        given.count(k)


def test_numbers_of_numpy_count():
    assert (given.count(3), given.count(np.int64(3))) == (3, 3)
