"""Measure what the debugging hook costs: milliseconds per step that saves nothing, the losses, or everything.

Usage: python benchmarks/debugger.py [--steps N]

Batch 1 at 32 pixels, one thread: this makes the network's own time as small as possible. The cost of a step that saves
nothing or the losses is that of the hook's callbacks alone, each time after a step of another training, which leaves
the processor's caches as a training does. The cost of a step that saves everything, and of a training's first step, is
the difference between trainings that take turns, one of them without a hook. Times are processor time, since wall-clock
time would include other processes. Batch normalisation is in evaluation mode: one image has no statistics. The averages
for trainings of several lengths, which save at our default intervals, are computed from these costs.
"""

import argparse
import contextlib
import math
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import torch

from classifier import memory, network
from classifier.training.debugging import smdebug_compat
from classifier.training.debugging.config import Intervals, save_intervals, write_config
from classifier.words import percent

WARM_UP = 5
NEVER = 10**9
FIRSTS = 20
EXAMPLES = (20, 30, 50, 100, 300, 1_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    memory.keep_all()  # as container/train does
    os.sync()  # earlier writes to the disk are not the hook's cost
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        unsaved = Training(folder / "nothing", Intervals(NEVER, NEVER)).callbacks(steps)
        losses = Training(folder / "losses", Intervals(1, NEVER)).callbacks(steps)
        without, saving = Training(), Training(folder / "everything", Intervals(1, 1))
        plain, everything = take_turns(without, saving, steps=WARM_UP + steps)
        kilobytes = sum(path.stat().st_size for path in (folder / "everything").rglob("*") if path.is_file()) / 1000
        firsts = [
            take_turns(Training(), Training(folder / f"first{number}", Intervals(1, 1)), steps=1)
            for number in range(FIRSTS)
        ]
    saved = statistics.median(b - a for a, b in zip(plain[WARM_UP:], everything[WARM_UP:], strict=True))
    # The second training reuses memory of the first, which saves half a step: the mean of both orders, not the median.
    first = statistics.mean(b - a for (a,), (b,) in firsts)
    print(f"a step without the hook           {statistics.median(plain):6.1f} ms")
    print(f"a step that saves nothing         {unsaved:6.2f} ms more")
    print(f"a step that saves the losses      {losses:6.2f} ms more")
    print(f"a step that saves everything      {saved:6.1f} ms more and {kilobytes / (WARM_UP + steps):.0f} kB")
    print(f"a training's first step           {first:6.1f} ms more")
    for total in EXAMPLES:
        intervals = save_intervals(total)
        some, all_ = (math.ceil(total / interval) for interval in intervals)
        average = (first + (all_ - 1) * saved + (some - all_) * losses + (total - some) * unsaved) / total
        shares = ", ".join(f"{percent(average / step, 1)} of {step} ms" for step in (40, 100))
        print(f"{total:6,} steps, {some} save the losses, {all_} everything: {average:5.2f} ms a step, {shares}")


def take_turns(*trainings: "Training", steps: int) -> list[list[float]]:
    """Return the milliseconds of each training's steps, taken in random order: after a saving step caches are cold."""
    times = [[] for _ in trainings]
    for _ in range(steps):
        for number in random.sample(range(len(trainings)), len(trainings)):
            times[number].append(trainings[number].step())
    return times


class Training:
    """A network and its optimiser, with a hook that saves to `folder` at `intervals` if these are given."""

    def __init__(self, folder: Path | None = None, intervals: Intervals | None = None):
        torch.manual_seed(0)
        self.model = network.build(10, eps=1e-5).eval()
        self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing in torch's overloads
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6)  # the cheapest optimiser
        self.inputs = torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        self.labels = torch.tensor([3])
        if folder and intervals:
            self.watch(folder, intervals)

    def watch(self, folder: Path, intervals: Intervals) -> None:
        smdebug_compat.load()
        from classifier.training.debugging.hook import MODES, make_hook

        config = folder / "debughookconfig.json"
        write_config(config, folder / "tensors", {"train": intervals, "eval": intervals})
        self.hook = make_hook(config, self.model, self.loss, self.optimizer, lambda _phase: contextlib.nullcontext())
        self.hook.set_mode(MODES["train"])

    def step(self) -> float:
        """Take one training step, and return its milliseconds of processor time."""
        started = time.process_time()
        self.loss(self.model(self.inputs), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return 1000 * (time.process_time() - started)

    def callbacks(self, times: int) -> float:
        """Return the milliseconds of processor time that the hook's callbacks take per step, on average."""
        self.step()  # the first step of a run is always saved
        self.hook.flush()
        other, activation, loss = Training(), torch.zeros(1, 1, 1, 1), torch.tensor(1.0)
        modules = [(module, activation) for module in self.model.modules()] + [(self.loss, loss)]
        seconds = 0.0
        for _ in range(times):
            other.step()
            started = time.process_time()
            for module, output in modules:
                for callback in module._forward_pre_hooks.values():
                    callback(module, (output,))
                for callback in module._forward_hooks.values():
                    callback(module, (output,), output)
            self.hook.before_update(self.optimizer)
            self.hook.after_update()
            seconds += time.process_time() - started
        started = time.process_time()
        self.hook.flush()
        return 1000 * (seconds + time.process_time() - started) / times


if __name__ == "__main__":
    main()
