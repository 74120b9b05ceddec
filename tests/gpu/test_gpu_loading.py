"""Batches on their way to the GPU."""

import numpy as np
import pytest
import torch
from PIL import Image

from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches
from classifier.training.data.folders import Phase
from classifier.training.hyperparameters import Hyperparameters

from .given import GPU, SIZE


@pytest.fixture(scope="module")
def phase(tmp_path_factory) -> Phase:
    """Twenty photos, of which the third is damaged."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(random.integers(0, 256, (90, 80, 3), dtype=np.uint8)).save(folder / f"{number}.jpg")
    (folder / "2.jpg").write_bytes(b"damaged")
    return Phase("train", folder, tuple(f"{n}.jpg" for n in range(20)), tuple(n % 3 for n in range(20)), {})


def sums_of_epochs(phase: Phase, workers: int) -> list[list[int]]:
    """Return the sum of each batch's pixels after their copy to the GPU, in two epochs.

    The copies come late, when the processes would long have written other images to the same memory.
    """
    compute = Compute(GPU, torch.float32)
    compute.normalize(torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8, device=GPU))  # so that workers fork a CUDA user
    hp = Hyperparameters(weights="none", image_size=SIZE, batch_size=4, workers=workers, epochs=2)
    batches = ImageBatches(phase, hp, compute)
    try:
        epochs = []
        for epoch in (1, 2):
            moved, expected = [], []
            for batch in batches.epoch(epoch):
                assert batch.inputs.is_pinned() and batch.labels.is_pinned()
                with torch.cuda.stream(compute.copying):
                    torch.cuda._sleep(20_000_000)  # cycles: some 10 ms
                moved.append((compute.move(batch.inputs), compute.move(batch.labels)))
                expected.append(int(batch.inputs.sum()))
            assert sum(len(labels) for _, labels in moved) == 19
            epochs.append([int(pixels.sum()) for pixels, _ in moved])
            assert epochs[-1] == expected
        return epochs
    finally:
        batches.close()


def test_any_number_of_workers_brings_the_same_batches(phase):
    alone = sums_of_epochs(phase, 0)
    assert alone[0] != alone[1]
    assert sums_of_epochs(phase, 1) == alone
    assert sums_of_epochs(phase, 4) == alone
