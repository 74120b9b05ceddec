import pytest
import torch

from classifier.errors import UserError
from classifier.training.data.batch import Batch
from classifier.training.data.folders import Phase
from classifier.training.data.skipped import SkippedImages


@pytest.fixture
def phase(tmp_path):
    files = tuple(f"class{number % 2}/{number}.jpg" for number in range(10))
    return Phase("validation", tmp_path, files, tuple(number % 2 for number in range(10)), {})


def batch_with_skipped(*positions):
    empty = torch.empty(0)
    return Batch(empty, empty, empty, dict.fromkeys(positions, "damaged image: cut off"))


def test_a_skipped_image_is_named_once(phase, caplog):
    skipped = SkippedImages()
    for _epoch in range(2):
        skipped.add(phase, batch_with_skipped(3))
    assert caplog.messages == ["skipped validation image class1/3.jpg: damaged image: cut off"]
    assert skipped.rows() == [("validation", "class1/3.jpg", "damaged image: cut off")]


def test_too_many_unreadable_images_are_an_error(phase):
    skipped = SkippedImages()
    skipped.add(phase, batch_with_skipped(3))
    with pytest.raises(UserError) as refused:
        skipped.add(phase, batch_with_skipped(4))
    assert str(refused.value) == (
        "2 of 10 validation images are unreadable, the first class1/3.jpg (damaged image: cut off); "
        "accepted: one, or up to 10 %"
    )


def test_a_phase_without_any_readable_image_is_an_error(phase):
    lone = Phase("test", phase.folder, phase.files[3:4], (1,), {})
    with pytest.raises(UserError, match="1 of 1 test image is unreadable"):
        SkippedImages().add(lone, batch_with_skipped(0))


def test_names_and_reasons_are_escaped(phase, caplog):
    odd = Phase("test", phase.folder, ("a/\udcf1\n.jpg", *phase.files[1:]), phase.labels, {})
    skipped = SkippedImages()
    skipped.add(odd, Batch(torch.empty(0), torch.empty(0), torch.empty(0), {0: "damaged\nimage"}))
    assert skipped.rows() == [("test", r"a/\udcf1\n.jpg", r"damaged\nimage")]
    assert caplog.messages == [r"skipped test image a/\udcf1\n.jpg: damaged\nimage"]


def test_a_class_without_a_readable_image_is_an_error(tmp_path):
    phase = Phase("train", tmp_path, ("a/1.jpg", "a/2.jpg", "b/3.jpg", "c/4.jpg"), (0, 0, 1, 2), {})
    skipped = SkippedImages()
    skipped.check_classes(phase, ("a", "b", "c"))
    skipped.add(phase, batch_with_skipped(1))
    skipped.check_classes(phase, ("a", "b", "c"))
    skipped.reasons["train"] = {"b/3.jpg": "not an image"}
    with pytest.raises(UserError) as refused:
        skipped.check_classes(phase, ("a", "b", "c"))
    assert str(refused.value) == (
        "no train image of the class 'b' is readable, such as b/3.jpg (not an image); "
        "accepted: at least one readable image in each class"
    )
