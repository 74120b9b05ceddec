"""What a job reads of a folder that was not laid out by SageMaker."""

import json

import pytest

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.inputs import read_inputs
from classifier.training.interrupt import Interrupt
from datasets import touch_images

OTHERS = (".DS_Store", "README.md", "Thumbs.db", "train-manifest")


@pytest.fixture
def contract(tmp_path):
    for split in ("train", "validation"):
        touch_images(tmp_path / "input/data" / split, cat=3, dog=3)
    return Contract(tmp_path, environ={})


def read(contract):
    config = contract.root / "input/config/hyperparameters.json"
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"weights": "none"}))
    return read_inputs(contract, Interrupt()).dataset


def test_files_beside_the_channels_are_named_and_hidden_ones_passed_over(contract):
    for name in OTHERS:
        (contract.data / name).touch()
    (contract.data / ".#notes").symlink_to("me@here.123")  # as Emacs marks a file that is being edited
    dataset = read(contract)
    assert [len(phase) for phase in dataset.phases] == [6, 6]
    named = "'README.md', 'Thumbs.db', 'train-manifest' are not used beside the channels' folders"
    assert dataset.notes == (named,)


@pytest.mark.parametrize("declared", [False, True])
def test_a_list_beside_the_channels_names_images_to_leave_out(contract, declared):
    """There check.py writes it, if this is a folder of splits for it."""
    (contract.data / "leave_out.txt").write_text("validation/cat/001.jpg\ntrain/cat/gone.jpg\n")
    if declared:
        config = contract.root / "input/config/inputdataconfig.json"
        config.parent.mkdir()
        config.write_text(json.dumps({"train": {}, "validation": {}}))
    dataset = read(contract)
    assert [len(phase) for phase in dataset.phases] == [6, 5]
    assert "cat/001.jpg" not in dataset.validation.files
    listed = contract.data / "leave_out.txt"
    assert dataset.notes == (
        f"1 image left out, as {listed} says",
        f"{listed} has 1 line that names no image, such as 'train/cat/gone.jpg'; "
        "accepted: a path in its folder on each line",
    )


def test_an_archive_in_the_place_of_a_channel_stays_refused(contract):
    (contract.data / "test.zip").touch()
    (contract.data / ".DS_Store").touch()
    with pytest.raises(UserError, match=r"/test.zip is not a folder; accepted: a folder of images; unpack 'test.zip'"):
        read(contract)
