import copy

import pytest
import torch

from classifier import network
from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches
from classifier.training.data.folders import Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.evaluate import evaluate
from classifier.training.features import FeatureBatches
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt, Interrupted
from classifier.training.model import set_training_mode, split
from classifier.training.optimization import make_optimizer
from helpers import photo

COMPUTE = Compute(torch.device("cpu"), torch.float32)
HP = Hyperparameters(trainable="head", augmentation="none", image_size=32, batch_size=4, workers=0, lr=0.01)


@pytest.fixture
def phase(tmp_path):
    """Eighteen photos of two classes; the fourth is damaged."""
    for number in range(18):
        photo(40, 40, seed=number).save(tmp_path / f"{number}.jpg")
    (tmp_path / "3.jpg").write_bytes(b"damaged")
    return Phase("train", tmp_path, tuple(f"{n}.jpg" for n in range(18)), tuple(n % 2 for n in range(18)), {})


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = network.build(2, eps=1e-5)
    made.requires_grad_(False)
    made.fc.requires_grad_(True)
    return made


def feature_batches(phase, model, interrupt=None):
    backbone, head = split(model, "head")
    return FeatureBatches(phase, HP, backbone, COMPUTE, interrupt or Interrupt()), head


def fit(batches, network, model):
    """Three epochs, as the loop in trainer.py makes its steps."""
    optimizer = make_optimizer(model, HP)
    set_training_mode(model, "head")
    for epoch in (1, 2, 3):
        for batch in batches.epoch(epoch):
            torch.nn.functional.cross_entropy(network(COMPUTE.inputs(batch.inputs)), batch.labels).backward()
            optimizer.step()
            optimizer.zero_grad()


def test_the_head_learns_what_it_learns_the_ordinary_way(phase, model):
    ordinary = copy.deepcopy(model)
    fit(ImageBatches(phase, HP, COMPUTE), ordinary, ordinary)
    batches, head = feature_batches(phase, model)
    fit(batches, head, model)
    assert torch.allclose(model.fc.weight, ordinary.fc.weight, atol=1e-5)
    images = ImageBatches(phase, HP, COMPUTE, once=True)
    found = [
        evaluate(net, torch.nn.CrossEntropyLoss(), made, COMPUTE, 2, SkippedImages(), Interrupt())
        for net, made in ((head, batches), (ordinary, images))
    ]
    assert found[0].metrics == pytest.approx(found[1].metrics, abs=1e-4)


def test_batches_are_those_of_the_images(phase, model):
    batches, _ = feature_batches(phase, model)
    ordinary = ImageBatches(phase, HP, COMPUTE)
    assert len(batches) == len(ordinary)
    for epoch, first in ((1, 0), (2, 0), (2, 3)):
        for one, two in zip(batches.epoch(epoch, first), ordinary.epoch(epoch, first), strict=True):
            assert one.positions.tolist() == two.positions.tolist()
            assert one.labels.tolist() == two.labels.tolist()
            assert one.skipped == two.skipped
            assert one.inputs.shape == (len(two), 512)


def test_each_file_is_read_once(phase, model):
    batches, _ = feature_batches(phase, model)
    assert sum(len(batch) for batch in batches.epoch(1)) == 17
    for file in phase.files:
        (phase.folder / file).unlink()
    assert sum(len(batch) for batch in batches.epoch(2)) == 17


def test_a_signal_ends_the_first_pass(phase, model):
    interrupt = Interrupt()
    interrupt.signal = "SIGTERM"
    batches, _ = feature_batches(phase, model, interrupt)
    with pytest.raises(Interrupted):
        next(batches.epoch(1))
