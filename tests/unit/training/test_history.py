import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from classifier.training.history import EpochUnderWay, History


def test_the_metrics_of_an_epoch_weigh_each_image_alike():
    epoch = EpochUnderWay(seconds=2.0)
    epoch.add(6, torch.tensor(1.0), torch.tensor(3))
    epoch.add(2, torch.tensor(2.0), torch.tensor(2))
    assert epoch.metrics() == {"train:loss": 1.25, "train:accuracy": 0.625, "train:images_per_second": 4.0}
    assert epoch.losses == [1.0, 2.0]


def test_an_epoch_without_any_image_has_no_loss():
    assert math.isnan(EpochUnderWay(batches=3).metrics()["train:loss"])


def test_a_history_goes_on_from_its_state():
    history = History(steps=2)
    history.under_way.add(4, torch.tensor(1.5), torch.tensor(2))
    other = History()
    other.load_state_dict(history.state_dict())
    assert (other.epoch, other.steps, other.under_way.losses) == (1, 2, [1.5])
    validation = SimpleNamespace(step_losses=np.array([0.5, 0.7]), training_loss=0.6)
    other.end_epoch({"train:loss": 1.5}, validation)
    assert other.epochs == [{"epoch": 1, "train:loss": pytest.approx(1.5)}]
    assert other.train_losses == [1.5]
    assert (other.validation_losses, other.validation_means) == ([[0.5, 0.7]], [0.6])
    assert (other.epoch, other.under_way) == (2, EpochUnderWay())
