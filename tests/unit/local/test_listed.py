"""Names in labels.csv that escape sequences make look alike."""

import pytest

from classifier.errors import UserError
from classifier.training.data.folders import read_dataset
from classifier.training.data.names import escaped, printable
from local.listed import Listed
from marked_labels import moves_of, write_labels, write_splits

ALIKE = ("cat/a\nb.jpg", r"cat/a\nb.jpg")


@pytest.fixture
def data(tmp_path):
    return write_splits(tmp_path)


def test_of_two_that_an_earlier_version_called_the_same_no_other_than_the_marked_one_moves(data):
    for one in ALIKE:
        (data / "train" / one).write_text(one)
    with_break, literal = ALIKE
    labels = write_labels(data, ("x", "train", escaped(with_break), "dog"))
    with pytest.raises(UserError, match="may be any of 2 images"):  # the row may be of an earlier version
        moves_of(labels, data)
    labels = write_labels(data, ("x", "train", escaped(literal), "dog"))
    assert list(moves_of(labels, data)) == [f"train/{literal}"]


@pytest.mark.parametrize("name", [*ALIKE, "cat/\\\n.jpg"])
def test_a_file_of_an_earlier_version_is_read(data, name):
    (data / "train" / name).write_text(name)
    labels = write_labels(data, ("x", "train", printable(name), "dog"))
    assert list(moves_of(labels, data)) == [f"train/{name}"]


def test_a_name_of_an_earlier_version_that_several_have_is_refused(data):
    for name in ("\\\n", r"\\n"):
        (data / f"train/cat/{name}.jpg").write_text(name)
    listed = Listed(read_dataset({"train": data}, seed=0))
    row = {"phase": "train", "file": r"cat/\\n.jpg"}
    with pytest.raises(
        UserError, match=r"line 2: .* may be any of 2 images; accepted: no mark, the file moved by hand"
    ):
        listed.find(row, "line 2")
