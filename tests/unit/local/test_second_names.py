import pytest

from classifier.errors import UserError
from local.relabelling import marked_moves
from marked_labels import moves_of, write_labels, write_splits


@pytest.fixture
def image(tmp_path):
    return write_splits(tmp_path) / "train/cat/001.jpg"


@pytest.mark.parametrize("link", [lambda to, name: name.symlink_to(to.name), lambda to, name: name.hardlink_to(to)])
@pytest.mark.parametrize("name", ["000a.jpg", "second.jpg"])  # before and behind the other name
def test_an_image_with_a_second_name_stays_until_it_has_one(tmp_path, image, link, name):
    second = image.with_name(name)
    link(image, second)
    marked, other = sorted((image, second))
    data = tmp_path / "data"
    labels = write_labels(data, ("x", "train", f"cat/{marked.name}", "dog"))
    with pytest.raises(UserError, match=f"line 2: {marked} and {other} are the same file; accepted: one name of each"):
        marked_moves(labels, data)
    other.unlink()
    if marked.exists():
        assert len(marked_moves(labels, data)) == 1


def test_a_second_name_that_is_left_out_does_not_matter(tmp_path, image):
    image.with_name("second.jpg").symlink_to(image.name)
    (tmp_path / "data/leave_out.txt").write_text("train/cat/second.jpg\n")
    labels = write_labels(tmp_path / "data", ("x", "train", "cat/001.jpg", "dog"))
    assert moves_of(labels, tmp_path / "data") == {"train/cat/001.jpg": "train/dog/001 from cat.jpg"}
