import pytest

from classifier.errors import UserError
from classifier.training.data.folders import PHASES, find_phases, read_dataset, split_phase


def fill(folder, **counts):
    """Make a class folder for each of `counts`, with so many files; nothing here reads what is in them."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number:03}.jpg").touch()
    return folder


def refusal(channels):
    with pytest.raises(UserError) as refused:
        read_dataset(channels, seed=0)
    return str(refused.value)


def test_channels_for_each_phase(tmp_path):
    channels = {name: fill(tmp_path / name, cat=10, dog=5) for name in ("training", "validation", "test")}
    dataset = read_dataset(channels, seed=0)
    assert dataset.classes == ("cat", "dog")
    assert [(phase.name, len(phase)) for phase in dataset.phases] == [("train", 15), ("validation", 15), ("test", 15)]
    assert dataset.train.files[:2] == ("cat/000.jpg", "cat/001.jpg")
    assert dataset.train.labels == (0,) * 10 + (1,) * 5
    assert not dataset.split_from_train
    assert dataset.phase("test") is dataset.test


@pytest.mark.parametrize("channel", ["train", "training", "dogs"])
def test_one_channel_that_holds_the_phases(tmp_path, channel):
    for name in ("train", "valid", "test"):
        fill(tmp_path / "all" / name, cat=4, dog=4)
    dataset = read_dataset({channel: tmp_path / "all"}, seed=0)
    assert [phase.folder.name for phase in dataset.phases] == ["train", "valid", "test"]


def test_classes_may_be_called_train_and_test(tmp_path):
    dataset = read_dataset({"train": fill(tmp_path / "train", bus=5, train=5, test=5)}, seed=0)
    assert dataset.classes == ("bus", "test", "train")


def test_a_validation_set_is_split_from_train_by_class_and_seed(tmp_path):
    channels = {"train": fill(tmp_path / "train", cat=20, dog=10, owl=2, ox=1)}
    first, again, other = (read_dataset(channels, seed=seed) for seed in (0, 0, 1))
    assert first.split_from_train
    assert [first.validation.labels.count(label) for label in range(4)] == [4, 2, 1, 0]
    assert sorted(first.train.files + first.validation.files) == sorted(
        f"{name}/{number:03}.jpg"
        for name, count in {"cat": 20, "dog": 10, "owl": 2, "ox": 1}.items()
        for number in range(count)
    )
    assert first == again
    assert first.validation.files != other.validation.files


def test_hidden_files_and_other_files_are_passed_over_and_counted(tmp_path):
    folder = fill(tmp_path / "train", cat=5, dog=5)
    for name in ("cat/.DS_Store", "cat/notes.txt", "dog/a.TIFF", "LICENSE", "dog/no_suffix"):
        (folder / name).touch()
    (folder / "__MACOSX" / "cat").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (folder / "dog" / "deeper").mkdir()
    (folder / "dog" / "deeper" / "x.PNG").touch()
    dataset = read_dataset({"train": folder, "test": fill(tmp_path / "test", cat=1)}, seed=0)
    assert dataset.classes == ("cat", "dog")
    assert "dog/deeper/x.PNG" in dataset.train.files + dataset.validation.files
    assert dataset.train.passed_over == {"hidden": 1, ".txt": 1, ".tiff": 1, "no suffix": 2}


def test_no_channel(tmp_path):
    sentence = (
        "no input channel with images; accepted: a channel train (or training) with a folder per class, or one "
        "channel that holds train/, validation/ and test/"
    )
    assert refusal({}) == sentence
    assert refusal({"model": tmp_path, "pretrained": tmp_path}) == sentence


def test_no_train_channel(tmp_path):
    fill(tmp_path / "v", cat=1, dog=1)
    assert refusal({"validation": tmp_path / "v"}).startswith("no train channel, only 'validation'; accepted: ")


def test_an_unknown_channel_is_refused_beside_train(tmp_path):
    channels = {"train": fill(tmp_path / "t", cat=1, dog=1), "vaildation": tmp_path}
    assert refusal(channels) == (
        "channel 'vaildation' is none of train, training, validation, valid, val, test, model, pretrained"
    )


def test_two_folders_for_one_phase(tmp_path):
    channels = {name: fill(tmp_path / name, cat=1, dog=1) for name in ("train", "training")}
    assert refusal(channels) == "'train' and 'training' both hold the train images; accepted: one of them"


def test_an_empty_channel(tmp_path):
    (tmp_path / "train").mkdir()
    assert refusal({"train": tmp_path / "train"}).startswith(
        f"the train folder {tmp_path}/train holds neither class folders nor images: it is empty; accepted: "
    )


def test_images_without_class_folders(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert "holds 1 images but no class folder; accepted: " in refusal({"train": tmp_path})


def test_one_class(tmp_path):
    assert refusal({"train": fill(tmp_path / "train", cat=3)}) == (
        f"{tmp_path}/train has 1 class folder (cat); accepted: at least 2, each a folder of images"
    )


@pytest.mark.parametrize("phase", ["validation", "test"])
def test_a_class_that_train_lacks(tmp_path, phase):
    channels = {"train": fill(tmp_path / "train", cat=3, dog=3), phase: fill(tmp_path / phase, cat=1, elk=1)}
    assert refusal(channels) == f"{phase} has a class 'elk' that train lacks; accepted: cat, dog"


@pytest.mark.parametrize("phase", ["train", "validation", "test"])
def test_an_empty_class_folder(tmp_path, phase):
    channels = {name: fill(tmp_path / name, cat=3, dog=3) for name in ("train", "validation", "test")}
    for file in (channels[phase] / "dog").iterdir():
        file.rename(file.with_suffix(".gif"))
    assert refusal(channels) == (
        f"class folder {channels[phase]}/dog has no images; accepted: files ending in .jpg, .jpeg, .png, .webp"
    )


def test_too_few_images_to_set_some_aside(tmp_path):
    assert refusal({"train": fill(tmp_path / "t", cat=1, dog=1)}).endswith(
        "has one image per class, too few to set some aside for validation"
    )


def test_the_layout_sentence_names_only_folders_that_are_found():
    assert {"train", "training"} == set(PHASES["train"])
    assert {"valid", "validation"} <= set(PHASES["validation"])


def test_find_phases_leaves_other_folders_of_a_holder_alone(tmp_path):
    fill(tmp_path / "train", cat=1, dog=1)
    fill(tmp_path / "drafts", elk=1)
    assert find_phases({"dogs": tmp_path}) == {"train": tmp_path / "train"}


def test_split_phase_sets_a_fifth_aside(tmp_path):
    dataset = read_dataset({"train": fill(tmp_path / "train", cat=50, dog=50)}, seed=3)
    train, rest = split_phase(dataset.train, seed=3)
    assert (len(train), len(rest), rest.name) == (64, 16, "validation")
