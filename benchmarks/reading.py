"""Compare reading images with torchvision's and timm's loaders, in the first epoch and in later ones.

Every loader reads with one process. They take turns, and each one's best pass counts, in wall-clock time and in
processor time of all its processes; the latter gives the speed per core when all cores are busy.
"""

import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import torch
import torchvision
from peers.training import timm_loader, torchvision_loader
from PIL import Image

from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches
from classifier.training.data.folders import Phase, read_dataset
from classifier.training.hyperparameters import Hyperparameters

PASSES = 5
# The number of images that are also read at a camera's size, and the factor by which they are enlarged.
LARGE, TIMES = 60, 4


def compare(phase: Phase, hp: Hyperparameters, scratch: Path) -> None:
    """Print the tables for the images of `phase`, unchanged and enlarged; writes the enlarged ones to `scratch`."""
    table_of("images/s with one process that reads", phase, hp)
    enlarge(phase.folder, scratch, LARGE)
    large = read_dataset({"train": scratch}, seed=0).train
    table_of(f"the same with {len(large)} of them, enlarged {TIMES} times", large, hp)


def link(source: Path, target: Path, count: int) -> None:
    """Link `count` images of `source`, evenly spaced, below `target`."""
    files = sorted(source.glob("*/*"))
    for file in files[:: max(1, len(files) // count)][:count]:
        (target / file.parent.name).mkdir(parents=True, exist_ok=True)
        (target / file.parent.name / file.name).symlink_to(file)


def enlarge(source: Path, target: Path, count: int) -> None:
    """Write `count` images of `source`, evenly spaced and enlarged, below `target`."""
    link(source, target, count)
    for path in target.glob("*/*"):
        image = Image.open(path).convert("RGB")
        path.unlink()
        image.resize([TIMES * side for side in image.size], Image.Resampling.BICUBIC).save(path, "JPEG", quality=90)


def table_of(title: str, phase: Phase, hp: Hyperparameters) -> None:
    shape = phase.folder, hp.image_size, hp.batch_size, 1
    contents = [(phase.folder / file).read_bytes() for file in phase.files]
    makers = {
        "as torchvision's reference": lambda: iter_of(torchvision_loader(*shape)),
        "as timm": lambda: iter_of(timm_loader(*shape)),
        "ours": lambda: ImageBatches(phase, hp, Compute(torch.device("cpu"), torch.float32)).epoch,
        "bare decode by libjpeg-turbo": lambda: lambda _epoch: map(bare_decode, contents),
    }
    passes = {name: [] for name in makers}
    for _ in range(PASSES):
        for name, make in makers.items():
            epoch = make()
            passes[name].append((*clock_and_processor(epoch(1)), *clock_and_processor(epoch(2))))
    best = {name: [min(column) for column in zip(*rows, strict=True)] for name, rows in passes.items()}
    reference = best["as torchvision's reference"]
    rows = [
        (name, *(f"{len(phase) / x:,.0f} ({y / x:.2f})" for x, y in zip(seconds, reference, strict=True)))
        for name, seconds in best.items()
    ]
    columns = "first epoch, by the clock", "of a core", "later epochs, by the clock", "of a core"
    table((title, *columns), rows)


def iter_of(loader: Iterable) -> Callable[[int], Iterable]:
    return lambda _epoch: loader


def bare_decode(data: bytes) -> object:
    return torchvision.io.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))


def clock_and_processor(batches: Iterable) -> tuple[float, float]:
    """Return the wall-clock seconds of a pass, and the processor seconds of this process and its children."""
    started, busy = time.perf_counter(), processor_seconds()
    for _batch in batches:
        pass
    return time.perf_counter() - started, processor_seconds() - busy


def processor_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    children = [child.cpu_times() for child in psutil.Process().children()]
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(child.user + child.system for child in children)


def seconds(batches: Iterable) -> float:
    """Return the wall-clock seconds of a pass."""
    return clock_and_processor(batches)[0]


def table(columns: Iterable[str], rows: Iterable[tuple]) -> None:
    print(f"\n| {' | '.join(columns)} |\n{'|---' * len(list(columns))}|")
    for name, *values in rows:
        print(f"| {name} | {' | '.join(values)} |", flush=True)
