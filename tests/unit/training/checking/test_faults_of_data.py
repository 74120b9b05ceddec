"""Data sets made bad on purpose, and what is said of each fault."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from classifier.training.checking.finding import list_left_out
from classifier.training.checking.findings import find_faults
from classifier.training.checking.survey import survey
from classifier.training.data.folders import read_dataset
from helpers import encode


def picture(seed):
    """Return a picture of edges and colours, as photos have them."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (9, 9, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
    return Image.fromarray(blocks)


@pytest.fixture
def good(tmp_path):
    """Splits of two classes without a fault; the seed is in every name."""
    seed = 0
    for split, count in (("train", 21), ("validation", 6), ("test", 6)):
        for name in ("cat", "dog"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for _ in range(count):
                picture(seed).save(folder / f"{seed}.png")
                seed += 1
    return tmp_path


def check(folder):
    found = survey(read_dataset({"train": folder}, seed=0))
    return found, find_faults(found)


def only_fault(folder):
    """Return the one fault that is found, and the names of the images that are left out for it."""
    found, faults = check(folder)
    (fault,) = faults
    left_out = list_left_out(found, faults)
    return fault, sorted(str(found.paths[one].relative_to(folder)) for one in left_out)


def test_a_good_data_set_has_no_fault(good):
    found, faults = check(good)
    assert faults == []
    assert found.looked_at == len(found) == 66


def test_the_same_file_in_train_and_test(good):
    shutil.copy(good / "test/cat/54.png", good / "train/cat/stray.png")
    fault, left_out = only_fault(good)
    assert fault.kind == "leak"
    assert fault.what == "1 of the 12 test images is also in train or validation"
    assert "test score is then too good" in fault.advice
    assert fault.exact
    assert left_out == ["train/cat/stray.png"]


def test_a_test_set_that_is_train(good):
    shutil.rmtree(good / "test")
    shutil.copytree(good / "train", good / "test")
    fault, left_out = only_fault(good)
    assert fault.what == "42 of the 42 test images are also in train or validation"
    assert left_out == []  # train keeps its images, or there would be none


def test_images_in_all_three_splits_count_for_both_scores(good):
    for split in ("validation", "test"):
        shutil.copy(good / "train/cat/0.png", good / split / "cat/stray.png")
    found, faults = check(good)
    assert [fault.what for fault in faults] == [
        "1 of the 13 test images is also in train or validation",
        "1 of the 13 validation images is also in train",
    ]
    left_out = [str(found.paths[one].relative_to(good)) for one in list_left_out(found, faults)]
    assert sorted(left_out) == ["train/cat/0.png", "validation/cat/stray.png"]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((90, 90)),
        lambda image: image.resize((240, 150)),
        lambda image: ImageOps.grayscale(image),
        lambda image: ImageOps.mirror(image),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: image.filter(ImageFilter.GaussianBlur(1)),
        lambda image: image.rotate(90, expand=True),
    ],
)
def test_a_changed_copy_in_validation(good, change):
    copy = change(picture(0))
    exif = Image.Exif()
    if copy.tobytes() == picture(0).rotate(90, expand=True).tobytes():
        exif[0x0112] = 6  # upright again
    copy.save(good / "validation/cat/copy.jpg", quality=60, exif=exif)
    fault, left_out = only_fault(good)
    assert (fault.kind, fault.what) == (
        "leak",
        "1 of the 13 validation images is almost the same as one in train",
    )
    assert not fault.exact
    assert left_out == ["train/cat/0.png"]


def test_an_image_in_two_classes(good):
    shutil.copy(good / "train/cat/0.png", good / "train/dog/too.png")
    fault, left_out = only_fault(good)
    assert fault.what == "2 images with two labels: the same file is in two classes, such as 'cat', 'dog'"
    assert left_out == ["train/cat/0.png", "train/dog/too.png"]


def test_pictures_that_look_alike_in_two_classes_are_for_a_person(good):
    picture(0).save(good / "train/dog/too.jpg")
    fault, left_out = only_fault(good)
    assert fault.kind == "two labels"
    assert "pictures that look alike" in fault.what
    assert left_out == []


def test_classes_that_may_be_another_one_by_their_names(good):
    for split in ("train", "validation", "test"):
        (good / split / "dog").rename(good / split / "cat (2)")
    fault, left_out = only_fault(good)
    assert fault.what == "the classes 'cat', 'cat (2)' have almost the same name"
    assert (fault.kind, fault.images, left_out) == ("doubtful names", 66, [])
    for split in ("train", "validation", "test"):
        (good / split / "cat (2)").rename(good / split / "train")
    fault, _ = only_fault(good)
    assert fault.what == "the class 'train' has the name of a split"


def test_copies_in_a_class_count_twice(good):
    for number in range(3):
        shutil.copy(good / "train/cat/0.png", good / f"train/cat/copy-{number}.png")
    fault, left_out = only_fault(good)
    assert fault.what == "3 copies of an image in its class, the same file"
    assert len(left_out) == 3


def test_copies_where_validation_is_set_aside_from_train_are_no_leak(good):
    shutil.rmtree(good / "validation")
    for number in range(3):
        shutil.copy(good / "train/cat/0.png", good / f"train/cat/copy-{number}.png")
    fault = next(fault for fault in check(good)[1] if fault.kind != "few images")
    assert fault.kind == "copies"
    assert "validation is set aside from train, and its score is too good with them" in fault.advice


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "not a JPEG, PNG or WebP image; it is an empty file"),
        (b"GIF89a", "not a JPEG, PNG or WebP image; it is a GIF"),
        (b"\0\0\0\x18ftypheic", "not a JPEG, PNG or WebP image; it is a HEIC, which iPhones write: export it as JPEG"),
        (b"<!DOCTYPE html>", "not a JPEG, PNG or WebP image; it is a web page"),
        (b"version https://git-lfs.github.com", "a pointer of Git LFS"),
        (encode(picture(900))[:2000], "damaged image: "),
    ],
)
def test_unreadable_images_have_their_reason(good, contents, reason):
    (good / "train/cat/broken.jpg").write_bytes(contents)
    fault, left_out = only_fault(good)
    assert fault.what.startswith("1 image cannot be read: ")
    assert reason in fault.what
    assert left_out == ["train/cat/broken.jpg"]


def test_a_link_to_nothing_is_unreadable(good):
    (good / "train/cat/gone.jpg").symlink_to("nowhere")
    assert only_fault(good)[0].what == "1 image cannot be read: No such file or directory"
    (good / "train/cat/empty.png").touch()
    what = only_fault(good)[0].what
    assert what.startswith("2 images cannot be read: ") and what.endswith(" (1 of them)")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("a.HEIC", "magick mogrify"), ("a.gif", "magick mogrify"), ("a.jpg_large", "rename them"), ("a.mp4", "ffmpeg")],
)
def test_other_formats_are_named_with_what_to_do(good, name, advice):
    (good / "train/cat" / name).write_bytes(b"x")
    fault, left_out = only_fault(good)
    assert fault.what == f"1 .{name.partition('.')[2].lower()} file cannot be used"
    assert advice in fault.advice
    assert left_out == []


@pytest.mark.parametrize("place", [".", "train", "test"])
def test_images_beside_the_class_folders(good, place):
    for number in range(2):
        picture(900 + number).save(good / place / f"s{number}.png")
    fault, left_out = only_fault(good)
    assert (fault.kind, fault.images, left_out) == ("no class", 2, [])
    assert fault.what.startswith("2 images lie in no class folder, such as ")
    named = [good / place / f"s{number}.png" for number in range(2)]
    (good / "leave_out.txt").write_text("".join(f"{path.relative_to(good)}\n" for path in named))
    assert check(good)[1] == []


def test_files_that_are_no_images_are_no_fault(good):
    (good / "train/cat/notes.txt").write_text("x")
    assert check(good)[1] == []


@pytest.mark.parametrize("colour", ["white", "black", (12, 200, 99)])
def test_blank_images(good, colour):
    Image.new("RGB", (180, 180), colour).save(good / "train/cat/blank.jpg")
    fault, left_out = only_fault(good)
    assert fault.what == "1 image of one colour and nothing else"
    assert left_out == ["train/cat/blank.jpg"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("dark", lambda image: ImageEnhance.Brightness(image).enhance(0.1)),
        ("blurred", lambda image: image.filter(ImageFilter.GaussianBlur(12))),
        ("tiny", lambda image: image.resize((20, 20))),
    ],
)
def test_poor_images_are_for_a_person(good, kind, change):
    change(picture(900)).save(good / "train/cat/poor.png")
    fault, left_out = only_fault(good)
    assert fault.kind == kind
    assert fault.what.startswith("1 ")
    assert left_out == []


@pytest.mark.parametrize(("bits", "faults"), [(8, 1), (12, 1), (14, 1), (16, 0)])
def test_16_bit_images_that_hold_fewer_bits(good, bits, faults):
    """Of the lowest 8 nothing is left, which would be blank and left out."""
    for path in good.rglob("*.png"):
        grey = np.asarray(Image.open(path).convert("L"), np.uint16)
        Image.fromarray(grey << (bits - 8)).save(path)
    found, said = check(good)
    assert [fault.kind for fault in said] == ["16 bits"] * faults
    assert all(fault.images == 66 for fault in said)
    assert list_left_out(found, said) == {}


def test_a_data_set_that_is_dark_small_and_blurred_as_a_whole_has_no_poor_image(good):
    for path in good.rglob("*.png"):
        small = Image.open(path).convert("RGB").filter(ImageFilter.GaussianBlur(6)).resize((28, 28))
        ImageEnhance.Brightness(small).enhance(0.15).save(path)
    assert check(good)[1] == []


def test_classes_with_few_images(good):
    for path in sorted((good / "train/cat").iterdir())[5:]:
        path.unlink()
    for path in sorted((good / "test/dog").iterdir())[3:]:
        path.unlink()
    train, test, imbalance = check(good)[1]
    assert train.what == "1 class has fewer than 20 train images: 'cat' (5)"
    assert test.what == "1 class has fewer than 5 test images: 'dog' (3)"
    assert imbalance.what == "'dog' has 21 training images, 'cat' has 5"
    # The loss's own weights: 26 / (2 * 5) and 26 / (2 * 21).
    assert "class_weights=balanced an image of these counts 0.62 and 2.60 times" in imbalance.advice


def test_the_worst_comes_first(good):
    shutil.copy(good / "test/cat/54.png", good / "train/cat/stray.png")
    shutil.copy(good / "train/cat/0.png", good / "train/dog/too.png")
    (good / "train/cat/broken.jpg").write_bytes(b"")
    Image.new("RGB", (180, 180)).save(good / "train/cat/blank.png")
    picture(900).resize((20, 20)).save(good / "train/cat/tiny.png")
    assert [fault.kind for fault in check(good)[1]] == ["leak", "two labels", "unreadable", "blank", "tiny"]


def test_in_a_film_all_frames_are_one_group(tmp_path):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(150):
            still = np.asarray(picture(name == "dog"), np.int16)
            Image.fromarray((still + random.integers(-3, 4, still.shape)).clip(0, 255).astype(np.uint8)).save(
                tmp_path / name / f"{number}.png"
            )
    faults = check(tmp_path)[1]
    assert faults[0].what == "298 copies of an image in its class, almost the same"
    assert [len(group) for group in faults[0].groups] == [150, 150]
