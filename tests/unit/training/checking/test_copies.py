"""What are copies and what only looks alike: fixed cameras, classes that differ in colour or in their side."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from classifier.training.checking.finding import list_left_out
from classifier.training.checking.findings import find_faults
from classifier.training.checking.survey import survey
from classifier.training.data.folders import read_dataset
from helpers import photo

COUNTS = {"train": 25, "test": 10}


def shape(seed, colour):
    """Return a picture of a shape in a place of its own."""
    random, image = np.random.default_rng(seed), Image.new("RGB", (96, 96), "white")
    left, top, width, height = random.integers(4, 40, 4).tolist()
    ImageDraw.Draw(image).ellipse((left, top, left + width + 8, top + height + 8), fill=colour)
    return image


def arrow(seed, is_right):
    """Return an arrow of its own before a background of its own; that of the other side is its mirror image."""
    image, size = photo(96, 96, seed), 20 + seed % 25
    ImageDraw.Draw(image).polygon([(20, 48 - size), (20, 48 + size), (80, 48)], fill="black")
    return image if is_right else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def shot(seed, is_defect):
    """Return a photo of a fixed camera: light and noise of its own, and a small dark mark on what is defect."""
    random = np.random.default_rng(seed)
    scene = 40 + np.asarray(photo(96, 96), np.float32) * 0.7
    pixels = scene * random.uniform(0.9, 1.1) + random.normal(0, 8, scene.shape)
    if is_defect:
        left, top = random.integers(5, 86, 2)
        pixels[top : top + 5, left : left + 5] = 20
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def check(folder, draw, seeds):
    """Write train and test of two classes, of which `seeds` gives each image its seed; return the faults and left out.

    `draw` gets the seed and which class it is.
    """
    for split, count in COUNTS.items():
        for label, name in enumerate(("one", "two")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                draw(seeds(split, label, number), label).save(folder / split / name / f"{number}.png")
    found = survey(read_dataset({"train": folder}, seed=0))
    faults = find_faults(found)
    return faults, list_left_out(found, faults)


def test_photos_of_a_fixed_camera_are_one_scene_and_stay(tmp_path):
    faults, left_out = check(
        tmp_path, shot, lambda split, label, number: number + 100 * label + 200 * (split == "test")
    )
    (scene,) = faults
    assert (scene.kind, len(scene.groups)) == ("scene", 1)
    assert set(scene.groups[0]) <= set(range(70))
    assert 35 <= scene.images < 45
    assert left_out == {}


def test_classes_that_differ_in_colour_are_no_copies(tmp_path):
    def draw(seed, label):
        return shape(seed, "green" if label else "red")

    faults, left_out = check(tmp_path, draw, lambda split, label, number: number + 100 * (label == (split == "test")))
    assert (faults, left_out) == ([], {})


@pytest.mark.parametrize("shade", [0, 60])
def test_a_leak_into_another_class_is_for_a_person(tmp_path, shade):
    """The first ten of train's class one are test's of class two, hardly brighter."""

    def draw(seed, label):
        return photo(96, 96, seed).point(lambda value: min(255, value + shade // 20 * label))

    def seeds(split, label, number):
        return number if (split, label) == ("test", 1) else number + 100 * label + 200 * (split == "test")

    faults, left_out = check(tmp_path, draw, seeds)
    if shade:
        assert [(fault.kind, len(fault.leave_out)) for fault in faults] == [("leak", 0), ("two labels", 0)]
        assert left_out == {}
    else:  # the same file: one of the labels is wrong for certain
        assert set(left_out.values()) == {"two labels"}


def test_classes_that_are_mirror_images_are_told_from_copies(tmp_path):
    faults, left_out = check(tmp_path, arrow, lambda split, label, number: number + 100 * (split == "test"))
    (fault,) = faults
    assert (fault.kind, fault.images) == ("mirrored", 70)
    assert "mirror images of pictures in another class, such as 'one', 'two'" in fault.what
    assert "set augmentation=none" in fault.advice
    assert left_out == {}
