import os

import numpy as np
import pytest
import torch

from classifier import images
from classifier.training.data.cache import NoCache
from classifier.training.data.dataset import ImageDataset
from classifier.training.data.order import Part
from classifier.training.data.slots import Slots
from phases import write_phase

SIZE = 32


@pytest.fixture
def phase(tmp_path):
    return write_phase(tmp_path)


def make(phase, cropped=False, seed=0):
    return ImageDataset(phase, SIZE, cropped, seed, NoCache(), Slots(2, 4, SIZE))


def why_skipped(phase):
    return make(phase)[Part(0, 0, 0, [0])].skipped[0]


def test_a_part_is_written_to_the_rows_of_its_slot(phase):
    dataset = make(phase)
    read = dataset[Part(1, 2, 0, [4, 3])]
    assert (read.part.positions, list(read.skipped)) == ([4, 3], [3])
    assert "rows are missing" in read.skipped[3]
    np.testing.assert_array_equal(dataset.slots.pixels[1, 2], dataset.pixels(0, 4))
    assert not dataset.slots.pixels[0].any()


def test_a_file_that_vanished_is_skipped(phase):
    (phase.folder / phase.files[0]).unlink()
    assert "No such file" in why_skipped(phase)


def test_crops_depend_on_seed_epoch_and_image_alone(phase):
    dataset = make(phase, cropped=True, seed=5)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = dataset.pixels(1, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert np.array_equal(dataset.pixels(1, 0), first)
    assert not np.array_equal(dataset.pixels(2, 0), first)
    assert not np.array_equal(make(phase, cropped=True, seed=6).pixels(1, 0), first)
    assert (first.shape, first.dtype) == ((SIZE, SIZE, 3), np.uint8)


def test_epoch_0_is_not_cropped_at_random_and_nearly_what_serving_sees(phase):
    """Nearly: kept images are scaled down to twice the size before."""
    found = make(phase, cropped=True, seed=1).pixels(0, 0)
    assert np.array_equal(found, make(phase, cropped=True, seed=2).pixels(0, 0))
    served = images.evaluation_pixels((phase.folder / phase.files[0]).read_bytes(), SIZE)
    assert np.abs(found.astype(int) - served).mean() < 4


@pytest.mark.parametrize("kind", ["a fifo", "/dev/zero", "too large"])
def test_only_regular_files_of_a_bounded_size_are_read(phase, kind):
    path = phase.folder / phase.files[0]
    path.unlink()
    if kind == "a fifo":
        os.mkfifo(path)
    elif kind == "/dev/zero":
        path.symlink_to(kind)
    else:
        with path.open("wb") as file:
            file.truncate(10**12)
    bound = "1,000,000,000,000 bytes are too many; accepted: up to 104,857,600"
    assert why_skipped(phase) == (bound if kind == "too large" else "not a regular file")
