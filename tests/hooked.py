"""A small network under the hook, and trials with made-up tensors, for the tests of debugging and rules."""

import contextlib
import json
from pathlib import Path

import numpy as np
import torch

from classifier.training.debugging import smdebug_compat
from classifier.training.debugging.config import Intervals, write_config

STEPS = 6


class Net(torch.nn.Module):
    """One in-place ReLU, used twice as in ResNet: after batch normalisation and after an addition."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.bn = torch.nn.BatchNorm2d(4)
        self.relu = torch.nn.ReLU(inplace=True)
        self.fc = torch.nn.Linear(4, 2)

    def forward(self, inputs):
        hidden = self.relu(self.bn(self.conv(inputs)))
        return self.fc(self.relu(hidden - 0.5).mean((2, 3)))


def make_training(seed=0):
    torch.manual_seed(seed)
    model = Net()
    return model, torch.nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1)


def steps(model, loss, optimizer, count=STEPS, each=lambda: None, dtype=None, scaler=None):
    """Train on made-up images; `each` is called before the optimiser's step."""
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    for step in range(count):
        torch.manual_seed(step)
        inputs, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 1, 0])
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            logits = model(inputs)
        scaler.scale(loss(logits.float(), labels)).backward()
        each()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()


def watch(folder: Path, model, loss, optimizer, interval=1, rest=None):
    smdebug_compat.load()
    from classifier.training.debugging.hook import MODES, make_hook

    intervals = Intervals(interval, rest or interval)
    write_config(folder / "config.json", folder / "tensors", {"train": intervals, "eval": intervals})
    hook = make_hook(folder / "config.json", model, loss, optimizer, lambda _part: contextlib.nullcontext())
    hook.set_mode(MODES["train"])
    return hook


def open_trial(folder: Path):
    smdebug_compat.load()
    from smdebug.trials import create_trial

    return create_trial(str(folder))


def write_trial(folder: Path, rows: list[dict[str, object]], mode="TRAIN") -> None:
    """Write a trial as the hook does: each step's row maps a name, or (name, reduction), to a tensor.

    A row's "mode" replaces `mode` for its step.
    """
    smdebug_compat.load()
    from smdebug.core.modes import ModeKeys
    from smdebug.core.reductions import get_reduction_tensor_name
    from smdebug.core.writer import FileWriter
    from smdebug.pytorch.collection import CollectionManager

    numbers = {}
    for step, row in enumerate(rows):
        row = dict(row)
        kind = row.pop("mode", mode)
        numbers[kind] = numbers.get(kind, -1) + 1
        writer = FileWriter(trial_dir=str(folder), step=step, worker="worker_0")
        for name, value in row.items():
            if isinstance(name, tuple):
                tensor, reduction = name
                name = get_reduction_tensor_name(tensor, reduction.removeprefix("abs_"), reduction.startswith("abs_"))
            data = np.asarray(value, np.float32)
            writer.write_tensor(data, name, mode=ModeKeys[kind], mode_step=numbers[kind])
        writer.close()
    manager = CollectionManager()
    manager.set_num_workers(1)
    manager.export(str(folder), "worker_0_collections.json")


def configuration(root: Path, **values: object) -> Path:
    """Write debughookconfig.json with `values` where SageMaker writes it, and return its path."""
    path = root / "input" / "config" / "debughookconfig.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(values))
    return path
