import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from classifier import images
from classifier.training.data import augment
from classifier.training.data.augment import Augmentation, draw_crop, resize, whole_side
from helpers import encode, photo


@pytest.mark.parametrize(("height", "width"), [(400, 533), (533, 400), (100, 100), (1, 1), (10, 300)])
def test_crops_are_distributed_as_torchvisions(height, width):
    random = np.random.default_rng(0)
    ours = []
    for _ in range(2000):
        rows, columns = draw_crop(random, height, width)
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width
        ours.append((rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start))
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    scale, ratio = [augment.SMALLEST_CROP, 1], [augment.NARROWEST, augment.WIDEST]
    theirs = [v2.RandomResizedCrop(8, scale, ratio).make_params([image]) for _ in range(2000)]
    theirs = np.array([(crop["top"], crop["left"], crop["height"], crop["width"]) for crop in theirs])
    size = np.array([height, width, height, width])
    assert np.abs(np.mean(ours, 0) - theirs.mean(0)) / size == pytest.approx(0, abs=0.02)
    assert np.abs(np.std(ours, 0) - theirs.std(0)) / size == pytest.approx(0, abs=0.02)


def test_resizing_is_pillows_within_a_shade():
    pixels = np.array(photo(301, 217))
    expected = np.array(Image.fromarray(pixels[10:200, 20:290]).resize((64, 64), Image.Resampling.BILINEAR))
    assert np.abs(resize(pixels[10:200, 20:290], 64).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("width", [300, 1600])
def test_crops_of_what_is_kept_are_as_good_as_crops_of_the_file(width):
    """Exactly so where the image is no larger than what is kept, and within noise where it is scaled down before."""
    size = 96
    whole = photo(width, width * 3 // 4)
    kept = images.whole_pixels(encode(whole, "PNG"), whole_side(size))
    assert min(kept.shape[:2]) == min(whole.height, whole_side(size))
    scale = kept.shape[0] / whole.height
    for seed in range(5):
        rows, columns = draw_crop(np.random.default_rng(seed), *kept.shape[:2])
        box = (columns.start / scale, rows.start / scale, columns.stop / scale, rows.stop / scale)
        expected = np.array(whole.resize((size, size), Image.Resampling.BILINEAR, box=box)).astype(int)
        difference = resize(kept[rows, columns], size) - expected
        assert np.abs(difference).max() <= (1 if scale == 1 else 4)


def batch(count=64):
    return torch.from_numpy(np.stack([np.array(photo(16, 16, seed)) for seed in range(count)]))


def test_half_of_a_batch_is_flipped_and_nothing_else_is_done():
    pixels = batch()
    changed = Augmentation("standard", seed=0).of(1, 0)(pixels)
    same = [torch.equal(one, two) for one, two in zip(pixels, changed, strict=True)]
    flipped = [torch.equal(one.flip(1), two) for one, two in zip(pixels, changed, strict=True)]
    assert all(one != two for one, two in zip(same, flipped, strict=True))
    assert 20 < sum(flipped) < 44


def test_none_changes_nothing():
    pixels = batch(2)
    assert Augmentation("none", seed=0).of(1, 0)(pixels) is pixels


def test_changes_depend_on_seed_epoch_and_batch_alone():
    augmentation, pixels = Augmentation("standard", seed=3), batch(10)
    before = torch.get_rng_state()
    first = augmentation.of(1, 2)(pixels)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(Augmentation("standard", seed=3).of(1, 2)(pixels), first)
    assert first.shape == pixels.shape
    assert first.dtype == torch.uint8
    assert first.is_contiguous()
    others = [
        augmentation.of(2, 2)(pixels),
        augmentation.of(1, 3)(pixels),
        Augmentation("standard", 4).of(1, 2)(pixels),
    ]
    assert not any(torch.equal(other, first) for other in others)
