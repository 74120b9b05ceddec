from pathlib import Path

import pytest

from classifier.errors import UserError
from classifier.training.data.folders import read_dataset
from classifier.training.data.layout import find_classes, find_layout
from datasets import touch_images as fill

LEVEL = "the data looks to be in {}, so name that folder instead"


def find(folder):
    layout = find_layout({"train": folder})
    for phase, found in layout.phases.items():
        find_classes(phase, found)
    return {phase: str(found.path.relative_to(folder)) for phase, found in layout.phases.items()}, layout.notes


def refusal(folder):
    with pytest.raises(UserError) as refused:
        find(folder)
    return str(refused.value)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Training", None, "Testing"),
        ("Train", "Valid", "Test"),
        ("train", "Validation", "test"),
        ("training_set", None, "test_set"),
        ("TRAIN", "dev", "holdout"),
        ("train2017", "val2017", None),
        ("seg_train/seg_train", None, "seg_test/seg_test"),
        ("data/pictures/train", "data/pictures/eval", None),
        ("train/train", None, None),
    ],
)
def test_splits_by_what_they_are_called(tmp_path, train, validation, test):
    given = {"train": train} | ({"validation": validation} if validation else {}) | ({"test": test} if test else {})
    for name in given.values():
        fill(tmp_path / name, a=1, b=1)
    assert find(tmp_path)[0] == given


def test_a_loose_image_in_a_split_does_not_make_it_a_class(tmp_path):
    for name in ("train", "test"):
        (fill(tmp_path / name, a=1, b=1) / "sample.jpg").touch()
    assert find(tmp_path)[0] == {"train": "train", "test": "test"}


def test_a_class_called_train_may_have_folders(tmp_path):
    fill(tmp_path, car=1, bus=1, train=1)
    fill(tmp_path / "train", steam=1)
    assert find(tmp_path) == ({"train": "."}, [])


@pytest.mark.parametrize("wrapper", ["images", "archive/images", "dataset v2"])
def test_a_single_wrapper_is_gone_through_and_said(tmp_path, wrapper):
    fill(tmp_path / wrapper, dress=1, hat=1)
    (tmp_path / "LICENSE").touch()
    (tmp_path / "__MACOSX").mkdir()
    phases, notes = find(tmp_path)
    assert phases == {"train": wrapper}
    outer, *deeper = wrapper.split("/")
    assert notes[0] == f"{tmp_path} holds no folder but '{outer}', so that one's folders are taken"
    assert len(notes) == 1 + len(deeper)


def test_two_data_sets_side_by_side(tmp_path):
    for split in ("train", "valid", "test"):
        fill(tmp_path / "dogImages" / split, pug=1, collie=1)
    fill(tmp_path / "lfw", ann=1, bob=1)
    assert refusal(tmp_path).startswith(
        f"class folders hold images, but there are only folders in {tmp_path}/dogImages ('test', 'train', 'valid') and "
        f"{tmp_path}/lfw ('ann', 'bob'): {LEVEL.format(f'{tmp_path}/dogImages or in {tmp_path}/lfw')}; accepted: "
    )


def test_folders_above_the_classes(tmp_path):
    fill(tmp_path / "animals", dog=1)
    fill(tmp_path / "clothes", dress=1, hat=1)
    assert LEVEL.format(tmp_path / "clothes") in refusal(tmp_path)


@pytest.mark.parametrize("other", ["a", "notes"])
def test_one_class_folder_of_folders(tmp_path, other):
    fill(tmp_path, **{other: int(other == "a")})
    fill(tmp_path / "images", x=1, y=1)
    assert LEVEL.format(tmp_path / "images") in refusal(tmp_path)


def test_classes_above_the_splits_or_around_a_folder(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "one" / name, train=1, test=1)
        fill(tmp_path / "two" / name, images=1)
    assert f": the first images are in {tmp_path}/one/cat/test; " in refusal(tmp_path / "one")
    assert f": the first images are in {tmp_path}/two/cat/images; " in refusal(tmp_path / "two")


def test_splits_without_class_folders(tmp_path):
    fill(tmp_path, train=2, test=2)
    assert f"the train folder {tmp_path}/train holds 2 images but no class folder; " in refusal(tmp_path)


def test_a_test_set_without_labels(tmp_path):
    fill(tmp_path / "train", a=1, b=1)
    fill(tmp_path, test1=3)
    assert f"the test folder {tmp_path}/test1 holds 3 images but no class folder; " in refusal(tmp_path)


def test_splits_without_train(tmp_path):
    fill(tmp_path / "validation", a=1, b=1)
    fill(tmp_path / "test", a=1, b=1)
    assert refusal(tmp_path).startswith("no train channel, only 'test', 'validation'; accepted: ")


def test_two_folders_for_one_phase(tmp_path):
    for name in ("train", "val", "Validation"):
        fill(tmp_path / name, a=1, b=1)
    assert refusal(tmp_path) == "'Validation' and 'val' both hold the validation images; accepted: one of them"


@pytest.mark.parametrize("folders", [{"drafts": 1}, {"drafts/elk": 1}])
def test_a_folder_beside_the_splits_that_holds_images_is_refused(tmp_path, folders):
    fill(tmp_path / "train", a=1, b=1)
    fill(tmp_path, **folders)
    assert refusal(tmp_path) == (
        f"{tmp_path}/drafts holds images, but stands beside 'train' and is not named after a phase; "
        "accepted beside them: train, validation, test, and folders without images"
    )


def test_what_is_not_used_beside_the_splits_is_named(tmp_path):
    fill(tmp_path / "train", a=1, b=1)
    fill(tmp_path / "docs", drawings=0)
    (tmp_path / "sample.jpg").touch()
    assert find(tmp_path)[1] == [
        f"{tmp_path}/docs is not used: it holds no images",
        f"1 image directly in {tmp_path} is not used, such as 'sample.jpg'",
    ]


@pytest.mark.parametrize("archive", ["validation.zip", "train/b.tar.gz", "train/a/more.rec"])
def test_an_archive_beside_what_is_read_is_named(tmp_path, archive):
    fill(tmp_path / "train", a=5, b=5)
    for name in ("LICENSE", "train/classes.txt", archive):
        (tmp_path / name).touch()
    notes = read_dataset({"train": tmp_path}, seed=0).notes
    assert f"{tmp_path}/{archive} is not read; unpack '{Path(archive).name}' into image files" in notes[-1]
    assert not any(".txt" in note or "LICENSE" in note for note in notes)


def test_folders_of_systems_are_no_channels(tmp_path):
    fill(tmp_path / "train", a=1, b=1)
    channels = {name: tmp_path / name for name in ("train", "lost+found", ".ipynb_checkpoints")}
    assert list(find_layout(channels).phases) == ["train"]


def test_channels_match_by_their_names_too(tmp_path):
    channels = {name: fill(tmp_path / name, a=1, b=1) for name in ("Training", "eval", "test_set")}
    assert list(find_layout(channels).phases) == ["train", "validation", "test"]


def test_links_that_lead_in_circles_end(tmp_path):
    fill(tmp_path / "x", a=1)
    (tmp_path / "y").mkdir()
    for link in ("0", "1"):
        (tmp_path / "x" / link).symlink_to("../y")
        (tmp_path / "y" / link).symlink_to("../x")
    assert "class folders hold images, but there are only folders in" in refusal(tmp_path)
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "z").symlink_to("../z")
    assert "which holds it" in refusal(tmp_path / "z")


def test_a_loose_image_in_the_splits_does_not_make_them_classes(tmp_path):
    for split in ("train", "val"):
        fill(tmp_path / split, cat=2, dog=2)
        (tmp_path / split / "preview.jpg").write_bytes((tmp_path / split / "cat").joinpath("000.jpg").read_bytes())
    phases, _ = find(tmp_path)
    assert phases == {"train": "train", "validation": "val"}
    fill(tmp_path, docs=1)
    assert refusal(tmp_path).startswith(f"{tmp_path}/docs holds images, but stands beside 'train', 'val'")


def test_classes_that_hold_splits_or_the_same_folders_are_refused(tmp_path):
    for name, inside in {"classes": ("train", "test"), "sets": ("cat", "dog")}.items():
        for folder in ("one", "two"):
            fill(tmp_path / name / folder, **dict.fromkeys(inside, 2))
            (tmp_path / name / folder / "loose.jpg").touch()
    sentence = refusal(tmp_path / "classes")
    assert (
        f"the class folder {tmp_path}/classes/one has a folder 'test' of images, which looks like a split" in sentence
    )
    sentence = refusal(tmp_path / "sets")
    assert f"the class folder {tmp_path}/sets/two has a folder 'cat' of images, as 'one' has; accepted: " in sentence


def test_classes_of_several_phases_side_by_side_are_refused(tmp_path):
    fill(tmp_path, trainA=1, trainB=1, testA=1, testB=1)
    assert refusal(tmp_path).startswith(
        f"the class folders 'testA', 'trainA' in {tmp_path} look like one class in several phases; accepted: a chan"
    )


@pytest.mark.parametrize("name", ["test", "Validation", "hold-out"])
def test_a_phase_beside_classes_is_refused(tmp_path, name):
    fill(tmp_path, cat=1, dog=1, **{name: 3})
    assert refusal(tmp_path).startswith(
        f"{tmp_path}/{name} stands beside class folders, but is named after a phase; accepted: "
    )


def test_things_may_be_classes_whatever_phases_are_called(tmp_path):
    fill(tmp_path, car=1, train=1, valid=1, invalid=1, eval_kit=1)
    assert find(tmp_path) == ({"train": "."}, [])


def test_a_channel_of_lists_is_named(tmp_path):
    channels = {name: fill(tmp_path / name, a=1, b=1) for name in ("train", "train_lst")}
    sentence = "channel 'train_lst' is none of train, validation, test, model, pretrained"
    with pytest.raises(UserError, match=f"^{sentence}$"):
        find_layout(channels)
    (tmp_path / "train_lst/train.lst").touch()
    with pytest.raises(UserError, match=f"^{sentence}; 'train.lst' only lists images, for im2rec: give these themselv"):
        find_layout(channels)
