import os
import shutil
from pathlib import Path

import pytest

from classifier.errors import UserError
from helpers import photo
from launch import console
from launch.uploading import name_objects
from local.pictures import find_pictures

pytest_plugins = ["aws_account"]

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
    for name in ("@eaDir/a.jpg", "b/.thumbnails/a.jpg", "b/._c.jpg", "b/c.jpg", "a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_pictures(tmp_path) == [tmp_path / "a.jpg", tmp_path / "b/c.jpg"]


@pytest.fixture
def photos(tmp_path):
    """Pictures of two classes, of which one of test is also in train."""
    for number, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        for count in range(4):
            folder = tmp_path / "photos" / place
            folder.mkdir(parents=True, exist_ok=True)
            photo(60, 40, seed=10 * number + count).save(folder / f"{count}.jpg")
    shutil.copy(tmp_path / "photos/train/cat/0.jpg", tmp_path / "photos/test/cat/0.jpg")
    for file in tmp_path.rglob("*.jpg"):
        os.utime(file, (0, 0))  # older than what is uploaded, whose times are whole seconds
    return tmp_path / "photos"


@pytest.mark.parametrize("script", ["train.py", "tune.py"])
def test_a_folder_is_checked_and_uploaded_before_a_job_learns_from_it(account, photos, script, monkeypatch):
    sentence = account.refuses(f"{script} --role sm --data {photos}")
    assert "1 of the 8 test images is also in train" in sentence
    assert "Upload all the same? There is no terminal to answer on" in sentence
    monkeypatch.setattr(console, "ask", yes_until_it_costs)
    uri = f"s3://{account.bucket}/resnet18/data/photos/"
    for uploaded in ("16 uploaded, 0 unchanged", "0 uploaded, 16 unchanged"):
        result, out = account.run(f"{script} --role sm --data {photos}")
        assert f"{uri}: {uploaded}, 0 removed" in out
        assert f" on {uri}" in result  # the job that is asked about


def yes_until_it_costs(question, yes):
    if question.endswith("Start?"):
        raise UserError(question)


@pytest.mark.parametrize("data", ["absent", "https://example.com/photos"])
def test_what_is_neither_a_folder_nor_in_s3(account, data):
    sentence = account.refuses(f"train.py --role sm --yes --data {data}")
    assert sentence == f"data is {data}; accepted: a folder of images, or the S3 URI of one"


def test_nothing_is_uploaded_for_a_job_that_has_no_role(account, photos):
    assert "no role for SageMaker" in account.refuses(f"train.py --yes --data {photos}")
    listed = account.aws.client("s3").list_objects_v2(Bucket=account.bucket, Prefix="resnet18/data/photos/")
    assert listed["KeyCount"] == 0
