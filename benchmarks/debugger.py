"""What the debugging hook costs: milliseconds per step of which nothing is saved, the losses, or everything.

Usage: python benchmarks/debugger.py [--steps N]

Batch 1 at 32 pixels, one thread: the network itself is as small as it gets, and what remains is the hook. An
unsaved step's cost is that of the hook's callbacks alone, called many times. A saved step's is the difference of
trainings that take turns, without a hook and with one that saves every step; times are of the processor, since the
clock would count whatever else the machine does. Batch normalisation is in evaluation mode: one image has no
statistics. From these follows the average for trainings of so many steps that save at our default intervals.
"""

import argparse
import contextlib
import math
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
from classifier.training.debugger_config import Intervals  # noqa: E402

WARM_UP = 5
NEVER = 10**9
EXAMPLES = (30, 100, 300, 1_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        trainings = {
            "nothing": Training(),
            "losses": Training(folder / "losses", Intervals(1, NEVER)),
            "everything": Training(folder / "everything", Intervals(1, 1)),
        }
        times = {name: [] for name in trainings}
        for _ in range(WARM_UP + steps):
            # In a new order each time: a step that follows a saved one finds the caches empty.
            for name in random.sample(list(trainings), len(trainings)):
                times[name].append(trainings[name].step())
        unsaved = Training(folder / "unsaved", Intervals(NEVER, NEVER)).callbacks()
        kilobytes = {name: kilobytes_in(folder / name) / (WARM_UP + steps) for name in trainings}
    print(f"a step without the hook takes   {statistics.median(times['nothing']):5.1f} ms")
    print(f"a step costs, if nothing is saved {unsaved:5.2f} ms")
    cost = {name: median_difference(times[name], times["nothing"]) for name in ("losses", "everything")}
    first = times["everything"][0] - times["nothing"][0]
    for name, milliseconds in cost.items():
        print(f"... if {name} is saved {milliseconds:5.2f} ms and {kilobytes[name]:.0f} kB")
    print(f"the first step costs {first:.1f} ms")
    for total in EXAMPLES:
        intervals = debugger_config.intervals(total)
        whole, saved = (math.ceil(total / interval) for interval in (intervals.rest, intervals.losses))
        sum_ = first + (whole - 1) * cost["everything"] + (saved - whole) * cost["losses"] + (total - saved) * unsaved
        shares = ", ".join(f"{sum_ / total / step:.1%} of {step} ms" for step in (40, 100))
        average = f"{sum_ / total:5.2f} ms a step on average, {shares}"
        print(f"{total:6,} steps, the losses of {saved} saved, everything of {whole}: {average}")


def median_difference(times: list[float], others: list[float]) -> float:
    """Without the first steps, which make folders and fill caches."""
    return statistics.median(a - b for a, b in zip(times[WARM_UP:], others[WARM_UP:], strict=True))


def kilobytes_in(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1000


class Training:
    """A network and its optimiser, with a hook that saves to `folder`, if one is given."""

    def __init__(self, folder: Path | None = None, intervals: Intervals | None = None):
        torch.manual_seed(0)
        self.model = network.build(10, eps=1e-5).to(memory_format=torch.channels_last).eval()
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6)  # the cheapest
        self.inputs = torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        self.labels = torch.tensor([3])
        if folder:
            self.watch(folder, intervals)

    def watch(self, folder: Path, intervals: Intervals) -> None:
        debugger_compat.load()
        from classifier.training.debugger_hook import MODES, make_hook

        config = folder / "debughookconfig.json"
        debugger_config.write(config, folder / "tensors", {"train": intervals, "eval": intervals})
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
