import errno
import os
import socket

import pytest

from classifier.errors import UserError
from classifier.training.data.folders import read_dataset, split_phase
from datasets import touch_images as fill


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


def test_a_class_may_be_called_train(tmp_path):
    dataset = read_dataset({"train": fill(tmp_path / "train", bus=5, train=5)}, seed=0)
    assert dataset.classes == ("bus", "train")


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
    for name in (
        "__MACOSX/cat",
        "lost+found",
        "$RECYCLE.BIN",
        "__pycache__",
        "found.001",
        "cat/@eaDir",
        "dog/#recycle",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "cat" / "@eaDir" / "thumbnail.jpg").touch()
    (folder / ".cache").mkdir()
    (folder / "dog" / "deeper").mkdir()
    (folder / "dog" / "deeper" / "x.PNG").touch()
    dataset = read_dataset({"train": folder, "test": fill(tmp_path / "test", cat=1)}, seed=0)
    assert dataset.classes == ("cat", "dog")
    assert "dog/deeper/x.PNG" in dataset.train.files + dataset.validation.files
    assert not any("thumbnail" in file for file in dataset.train.files + dataset.validation.files)
    assert dataset.train.passed_over == {"hidden": 2, "system folder": 7, ".txt": 1, ".tiff": 1, "no suffix": 2}
    (folder / "loose.PNG").touch()
    dataset = read_dataset({"train": folder}, seed=0)
    assert dataset.train.passed_over[".png in no class folder"] == 1
    assert dataset.loose == (folder / "loose.PNG",)


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
    assert refusal(channels) == ("channel 'vaildation' is none of train, validation, test, model, pretrained")


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
    assert "holds 1 image but no class folder; accepted: " in refusal({"train": tmp_path})


def test_one_class(tmp_path):
    assert refusal({"train": fill(tmp_path / "train", cat=3)}) == (
        f"{tmp_path}/train has 1 class folder ('cat'); accepted: at least 2, each a folder of images"
    )


@pytest.mark.parametrize("phase", ["validation", "test"])
def test_a_class_that_train_lacks(tmp_path, phase):
    channels = {"train": fill(tmp_path / "train", cat=3, dog=3), phase: fill(tmp_path / phase, cat=1, elk=1)}
    assert refusal(channels) == f"{phase} has a class 'elk' that train lacks; accepted: 'cat', 'dog'"


@pytest.mark.parametrize("phase", ["train", "validation", "test"])
def test_an_empty_class_folder(tmp_path, phase):
    channels = {name: fill(tmp_path / name, cat=3, dog=3) for name in ("train", "validation", "test")}
    for file in (channels[phase] / "dog").iterdir():
        file.rename(file.with_suffix(".gif"))
    assert refusal(channels) == (
        f"class folder {channels[phase]}/dog has no images: only '000.gif', '001.gif', '002.gif'; "
        "accepted: files ending in .jpg, .jpeg, .jfif, .png, .webp"
    )


def test_too_few_images_to_set_some_aside(tmp_path):
    assert refusal({"train": fill(tmp_path / "t", cat=1, dog=1)}).endswith(
        "has one image per class, too few to set some aside for validation"
    )


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_an_image_has_one_class_and_one_phase_whatever_links_to_it(tmp_path, link):
    channels = {name: fill(tmp_path / name, cat=3, dog=3) for name in ("train", "validation", "test")}
    cat = channels["train"] / "cat/000.jpg"
    link(cat, channels["train"] / "cat/again.jpg")
    dataset = read_dataset(channels, seed=0)
    assert (len(dataset.train), dataset.train.passed_over) == (6, {"second names of an image": 1})
    for other in (
        channels["train"] / "dog/x.jpg",
        channels["validation"] / "cat/x.jpg",
        channels["test"] / "cat/x.jpg",
    ):
        link(cat, other)
        assert (
            refusal(channels) == f"{cat} and {other} are the same file; accepted: each image in one class of one phase"
        )
        other.unlink()


def test_a_second_name_does_not_come_into_the_part_that_is_set_aside(tmp_path):
    folder = fill(tmp_path / "train", cat=10, dog=10)
    for number in range(10):
        (folder / f"cat/link{number}.jpg").symlink_to(f"00{number}.jpg")
    dataset = read_dataset({"train": folder}, seed=0)
    assert (len(dataset.train), len(dataset.validation)) == (16, 4)


def test_links_to_images_elsewhere_and_to_nothing(tmp_path):
    elsewhere = fill(tmp_path / "all", x=6)
    channels = {name: fill(tmp_path / name, cat=1, dog=1) for name in ("train", "validation")}
    for number, folder in enumerate(channels.values()):
        (folder / "cat/link.jpg").symlink_to(elsewhere / f"x/00{number}.jpg")
        (folder / "dog/gone.jpg").symlink_to(tmp_path / "nothing")
    dataset = read_dataset(channels, seed=0)
    assert dataset.train.sizes == (0, 0, 0, -1)
    assert len(dataset.validation) == 4


def test_split_phase_sets_a_fifth_aside(tmp_path):
    dataset = read_dataset({"train": fill(tmp_path / "train", cat=50, dog=50)}, seed=3)
    train, rest = split_phase(dataset.train, seed=3)
    assert (len(train), len(rest), rest.name) == (64, 16, "validation")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("pictures.zip", "unpack 'pictures.zip' into image"),
        ("x.rec", "unpack 'x.rec'"),
        ("a.TAR.GZ", "unpack 'a.TAR.GZ'"),
        ("x.lst", "'x.lst' only lists images, for im2rec: give these themselves"),
        ("train.tfrecord-00003-of-00010", "unpack 'train.tfrecord-00003-of-00010'"),
    ],
)
def test_an_archive_is_to_be_unpacked(tmp_path, file, said):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / file).touch()
    sentence = refusal({"train": tmp_path / "train"})
    assert f"only {file!r}; {said}" in sentence
    fill(tmp_path / "other", cat=3, dog=0)
    (tmp_path / "other" / "dog" / file).touch()
    assert f"/dog has no images: only {file!r}; {said}" in refusal({"train": tmp_path / "other"})


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "pictures.zip").touch()
    assert refusal({"train": tmp_path / "pictures.zip"}) == (
        f"{tmp_path}/pictures.zip is not a folder; accepted: a folder of images; "
        "unpack 'pictures.zip' into image files, in a folder per class"
    )


def test_an_empty_class_says_what_was_passed_over(tmp_path):
    folder = fill(tmp_path / "train", cat=3, dog=0)
    (folder / "dog" / ".DS_Store").touch()
    assert "/dog has no images: only what is passed over (1 hidden); accepted: " in refusal({"train": folder})
    fill(folder, elk=0)
    (folder / "dog" / "0.jpg").touch()
    assert "/elk has no images: it is empty; accepted: " in refusal({"train": folder})


@pytest.mark.parametrize(
    ("link", "target"),
    [("up", ".."), ("b", "../b"), ("else", "{elsewhere}"), ("deep/up", "../.."), ("all", "/")],
)
def test_a_link_out_of_its_class_folder_is_refused(tmp_path, link, target):
    folder = fill(tmp_path / "train", a=2, b=2)
    target = target.format(elsewhere=fill(tmp_path / "elsewhere", z=2))
    (folder / "a" / link).parent.mkdir(exist_ok=True)
    (folder / "a" / link).symlink_to(target)
    leads_to = (folder / "a" / link).resolve()
    assert refusal({"train": folder}) == (
        f"{folder}/a/{link} is a link to {leads_to}, outside the class folder {folder}/a; accepted: links to single "
        "images, and a link in place of a whole class folder"
    )


def test_each_real_folder_is_visited_once(tmp_path):
    folder = fill(tmp_path / "train", a=4, b=4)
    fill(folder / "a", deeper=3)
    for link, target in {"self": ".", "other": "deeper", "deeper/up": ".."}.items():
        (folder / "a" / link).symlink_to(target)
    dataset = read_dataset({"train": folder}, seed=0)
    assert len(dataset.train) + len(dataset.validation) == 11


@pytest.mark.parametrize("link", ["train/c", "train/a/more", "validation"])
@pytest.mark.parametrize("target", ["absent", "itself"])
def test_a_link_to_nothing_in_the_place_of_a_folder_is_refused(tmp_path, link, target):
    fill(tmp_path / "train", a=3, b=3)
    (tmp_path / link).symlink_to(tmp_path / link if target == "itself" else tmp_path / "absent")
    assert refusal({"data": tmp_path}).startswith(f"{tmp_path}/{link} is a link to nothing; accepted: ")


@pytest.mark.parametrize("link", ["train/v1.5", "test.set"])
def test_a_link_to_nothing_may_be_a_class_or_a_split_whatever_its_name(tmp_path, link):
    fill(tmp_path / "train", a=3, b=3)
    (tmp_path / link).symlink_to("absent")
    assert refusal({"data": tmp_path}).startswith(f"{tmp_path}/{link} is a link to nothing; accepted: ")


def test_links_to_nothing_in_a_class_are_counted_and_named(tmp_path):
    fill(tmp_path, a=3, b=3)
    for name in ("notes.txt", "sizes.csv"):
        (tmp_path / "b" / name).symlink_to("absent")
    dataset = read_dataset({"train": tmp_path}, seed=0)
    assert dataset.train.passed_over == {"link to nothing": 2}
    assert dataset.notes == (f"2 links to nothing passed over, such as {tmp_path}/b/notes.txt",)


@pytest.mark.parametrize("name", ["Recycled", "recycler", "@tmp"])
def test_a_class_is_not_taken_for_a_folder_of_a_system(tmp_path, name):
    dataset = read_dataset({"train": fill(tmp_path / "full", glass=3, **{name: 3})}, seed=0)
    assert sorted(dataset.classes) == sorted(["glass", name])
    fill(tmp_path / "empty" / name, deeper=0)
    dataset = read_dataset({"train": fill(tmp_path / "empty", glass=3, paper=3)}, seed=0)
    assert dataset.train.passed_over == {"system folder": 1}


def test_links_to_whole_folders_and_single_files_work(tmp_path):
    real = fill(tmp_path / "real", a=4, b=4)
    links = tmp_path / "links"
    links.mkdir()
    (links / "a").symlink_to(real / "a")
    (links / "b").mkdir()
    for file in (real / "b").iterdir():
        (links / "b" / file.name).symlink_to(file)
    (tmp_path / "data").symlink_to(links)
    dataset = read_dataset({"train": tmp_path / "data"}, seed=0)
    assert len(dataset.train) + len(dataset.validation) == 8


@pytest.mark.parametrize("link", ["train/c", "validation", "train/b/c"])
def test_no_folder_is_read_twice(tmp_path, link):
    fill(tmp_path / "train", a=2, b=2)
    if link == "train/b/c":  # the first class is a link to a part of the second
        link = "train/0"
        fill(tmp_path / "train" / "b", c=2)
        (tmp_path / "train" / "0").symlink_to("b/c")
    else:
        (tmp_path / link).symlink_to("a" if link == "train/c" else "train")
    assert "are the same folder; accepted: each folder of images once" in refusal({"all": tmp_path, "model": tmp_path})


@pytest.mark.parametrize("target", [".", ".."])
def test_a_class_that_is_a_link_to_what_holds_it(tmp_path, target):
    folder = fill(tmp_path / "train", a=2, b=2)
    (folder / "c").symlink_to(target)
    assert refusal({"train": folder}).startswith(f"{folder}/c is a link to {(folder / target).resolve()}, which holds")


def test_what_is_no_regular_file_is_passed_over_and_counted(tmp_path):
    folder = fill(tmp_path / "train", a=4, b=4)
    os.mkfifo(folder / "a" / "fifo.jpg")
    (folder / "a" / "zero.jpg").symlink_to("/dev/zero")
    (folder / "b" / "circle.jpg").symlink_to("circle.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        monkey = os.open(folder / "b", os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{monkey}/socket.png")
        finally:
            os.close(monkey)
    dataset = read_dataset({"train": folder}, seed=0)
    assert len(dataset.train) + len(dataset.validation) == 9  # with the broken link, which will be named
    assert dataset.train.passed_over == {"not a regular file": 3}


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    folder = fill(tmp_path / "train", a=2, b=2)
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert refusal({"train": folder}) == f"the folder {folder}/b cannot be read: Permission denied"


NFC, NFD = "caf\xe9", "cafe\u0301"


def test_names_that_look_alike_are_one_class(tmp_path):
    channels = {
        "train": fill(tmp_path / "train", **{NFC: 2, "pug ": 2, "elk\u200b": 2}),
        "validation": fill(tmp_path / "validation", **{NFD: 2, "pug": 2, " elk": 2}),
    }
    dataset = read_dataset(channels, seed=0)
    assert dataset.classes == (NFC, "elk", "pug")
    assert dataset.validation.labels == (0, 0, 1, 1, 2, 2)


@pytest.mark.parametrize(("name", "other"), [("\ufb01n", "fin"), ("a  b", "a b"), ("\uff43\uff41\uff54", "Cat")])
def test_names_that_only_look_alike_are_shown_escaped(tmp_path, name, other):
    channels = {"train": fill(tmp_path / "train", **{name: 2, "z": 2}), "test": fill(tmp_path / "test", **{other: 2})}
    assert refusal(channels).startswith(f"test has a class {ascii(other)}, not {ascii(name)}, that train lacks; accep")


def test_two_forms_of_a_name_in_one_split(tmp_path):
    folder = fill(tmp_path / "train", **{NFC: 2, NFD: 2})
    assert refusal({"train": folder}) == (
        f"the folders 'cafe\\u0301' and 'caf\\xe9' in {folder} have names that look alike; "
        "accepted: one folder per class"
    )


@pytest.mark.parametrize(
    "name", ["b\nvalidation:accuracy=1.0;", "b\x1b[2J", os.fsdecode(b"\xf1"), "b\u2028", "\u202eb", "b\r"]
)
def test_a_class_name_that_cannot_be_shown(tmp_path, name):
    folder = fill(tmp_path / "train", a=2, **{name: 2})
    sentence = refusal({"train": folder})
    assert "has a control character, or a byte that is not UTF-8, in its name; accepted: " in sentence
    assert sentence.isprintable()
    assert ascii(name)[1:-1] in sentence


def test_file_names_are_shown_escaped(tmp_path):
    folder = fill(tmp_path / "train", a=4, b=4)
    (folder / "b" / "000.jpg").rename(folder / "b" / os.fsdecode(b"\xf1\n.jpg"))
    dataset = read_dataset({"train": folder, "validation": fill(tmp_path / "validation", a=1, b=1)}, seed=0)
    assert [dataset.train.shown(number) for number in (3, 7)] == ["a/003.jpg", r"b/\udcf1\n.jpg"]
    assert (folder / dataset.train.files[7]).exists()
