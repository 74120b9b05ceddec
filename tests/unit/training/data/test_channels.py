import pytest

from classifier.errors import UserError
from classifier.training.data.layout import find_layout
from datasets import touch_images as fill


def channels_of(folder, *files):
    """Return the channels of a folder with the channel train, and with these files."""
    fill(folder / "train", a=1, b=1)
    for name in files:
        (folder / name).touch()
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("validation", "a folder of images"),
        ("Test_set", "a folder of images"),
        ("test.tar.gz", "a folder of images; unpack 'test.tar.gz' into image files, in a folder per class"),
        ("val.rec", "a folder of images; unpack 'val.rec' into image files, in a folder per class (im2rec "),
        ("pretrained", "a folder of weights"),
        ("pretrained.pth", "a folder of weights"),
        ("model.tar.gz", "a folder of weights"),
    ],
)
def test_a_file_in_the_place_of_a_channel_is_refused(tmp_path, name, accepted):
    with pytest.raises(UserError) as refused:
        find_layout(channels_of(tmp_path, name))
    assert str(refused.value).startswith(f"{tmp_path}/{name} is not a folder; accepted: {accepted}")


def test_other_files_beside_the_channels_are_named(tmp_path):
    layout = find_layout(channels_of(tmp_path, "train-manifest", "train.zip", "test.csv", ".DS_Store"))
    assert list(layout.phases) == ["train"]
    assert layout.notes == ["'test.csv', 'train-manifest', 'train.zip' are not used beside the channels' folders"]


def test_files_alone(tmp_path):
    (tmp_path / "dogs.zip").touch()
    with pytest.raises(UserError) as refused:
        find_layout({"dogs.zip": tmp_path / "dogs.zip"})
    assert str(refused.value).startswith(
        "no input channel with images, only 'dogs.zip'; unpack 'dogs.zip' into image files, in a folder per class; "
        "accepted: a channel train"
    )
