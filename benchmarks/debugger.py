"""What the debugging hook costs: milliseconds per step that is not saved, and per step that is.

Usage: python benchmarks/debugger.py [--steps N]

Batch 1 at 32 pixels, one thread: the network itself is as small as it gets, and what remains is the hook. An
unsaved step's cost is that of the hook's callbacks alone, called many times. A saved step's is the difference of two
trainings that take turns, without a hook and with one that saves every step; times are of the processor, since the
clock would count whatever else the machine does. Batch normalisation is in evaluation mode: one image has no
statistics. From the two follows the average for trainings of so many steps that save at our default interval.
"""

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "container"))

from classifier import network  # noqa: E402
from classifier.training import debugger_compat, debugger_config  # noqa: E402

WARM_UP = 5
NEVER = 10**9
EXAMPLES = (500, 1_000, 2_000, 5_000, 20_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        trainings = {"none": Training(), "saved": Training(Path(scratch, "saved"), 1)}
        times = {name: [] for name in trainings}
        for _ in range(WARM_UP + steps):
            # In a new order each time: a step that follows a saved one finds the caches empty.
            for name in random.sample(list(trainings), len(trainings)):
                times[name].append(trainings[name].step())
        files = [path for path in Path(scratch, "saved", "tensors").rglob("*") if path.is_file()]
        kilobytes = sum(path.stat().st_size for path in files) / (WARM_UP + steps) / 1000
        unsaved = Training(Path(scratch, "unsaved"), NEVER).callbacks()
    # The first steps make folders and fill caches.
    pairs = zip(times["saved"][WARM_UP:], times["none"][WARM_UP:], strict=True)
    saved = statistics.median(a - b for a, b in pairs)
    print(f"a step without the hook   {statistics.median(times['none']):6.1f} ms")
    print(f"an unsaved step costs     {unsaved:6.2f} ms more")
    print(
        f"a saved step costs        {saved:6.1f} ms more and {kilobytes:.0f} kB; the first {times['saved'][0]:.0f} ms"
    )
    for total in EXAMPLES:
        interval = debugger_config.interval(total)
        average = unsaved + (saved - unsaved) / interval
        shares = ", ".join(f"{average / step:.1%} of {step} ms" for step in (40, 100))
        print(f"{total:6,} steps, every {interval:3} saved: {average:5.2f} ms a step on average, {shares}")


class Training:
    """A network and its optimiser, with a hook that saves every `interval` steps to `folder`, if one is given."""

    def __init__(self, folder: Path | None = None, interval: int = 1):
        torch.manual_seed(0)
        self.model = network.build(10, eps=1e-5).to(memory_format=torch.channels_last).eval()
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6)  # the cheapest
        self.inputs = torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        self.labels = torch.tensor([3])
        if folder:
            self.watch(folder, interval)

    def watch(self, folder: Path, interval: int) -> None:
        debugger_compat.load()
        from classifier.training.debugger_hook import MODES, make_hook

        config = folder / "debughookconfig.json"
        debugger_config.write(config, folder / "tensors", {"train": interval, "eval": 1})
        self.hook = make_hook(config, self.model, self.loss, self.optimizer, lambda _phase: contextlib.nullcontext())
        self.hook.set_mode(MODES["train"])

    def step(self) -> float:
        """The milliseconds of processor time of one training step."""
        started = time.process_time()
        self.loss(self.model(self.inputs), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return 1000 * (time.process_time() - started)

    def callbacks(self, times: int = 1000) -> float:
        """The milliseconds of processor time that the hook's callbacks take in one step."""
        self.step()  # the first of a run is always saved
        output = torch.zeros(1, 1, 1, 1)
        started = time.process_time()
        for _ in range(times):
            for module in (*self.model.modules(), self.loss):
                for callback in module._forward_pre_hooks.values():
                    callback(module, (output,))
                for callback in module._forward_hooks.values():
                    callback(module, (output,), output)
            self.hook.before_update()
            self.hook.after_update()
        return 1000 * (time.process_time() - started) / times


if __name__ == "__main__":
    main()
