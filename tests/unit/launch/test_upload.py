import os
from pathlib import Path

import pytest

from classifier.errors import UserError
from launch.upload import name_objects
from local.pictures import find_pictures

ODD = os.fsdecode(b"a/\xf1\n.jpg")


def test_a_key_has_escapes_for_what_s3_does_not_take():
    files = [Path("photos", "a/x.jpg"), Path("photos", ODD)]
    keys = name_objects("p/data/photos", Path("photos"), files)
    assert keys == {"p/data/photos/a/x.jpg": files[0], r"p/data/photos/a/\udcf1\n.jpg": files[1]}


def test_two_files_with_one_key_are_refused():
    with pytest.raises(UserError, match="two files would both become"):
        name_objects("p", Path("photos"), [Path("photos", ODD), Path("photos", r"a/\udcf1\n.jpg")])


def test_only_files_are_pictures(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    with pytest.raises(UserError, match="is not a file, nor a folder with files ending in"):
        find_pictures(tmp_path)
    (tmp_path / "a.jpg").touch()
    assert find_pictures(tmp_path) == [tmp_path / "a.jpg"]
