"""A training step on the GPU against the bare step, whose batch is there already, and against the card's ceilings."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from classifier.device import out_of_memory
from classifier.training.compute import Compute
from classifier.training.data.augment import Augmentation
from classifier.training.data.batch import Batch
from classifier.training.data.folders import Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.evaluate import run_model
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.model import make_model, set_training_mode
from classifier.training.optimization import make_optimizer
from classifier.training.profiling.profiler import NoProfiler
from classifier.training.step import Step

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
BATCHES = (64, 256, 1024)
SIZE, CLASSES, SECONDS = 224, 120, 1.0
HP = Hyperparameters(weights="none", image_size=SIZE)


def measure(where: torch.device, photos: Path) -> Iterator[tuple]:
    """Yield the tables."""
    yield "ceilings", ("what", "rate"), list(ceilings(where))
    rows = []
    for n in BATCHES:
        for name, dtype in DTYPES.items():
            bare, ours, whole = (speed_if_it_fits(how, where, dtype, n) for how in (bare_step, step, moved))
            rows.append((n, name, bare, ours, whole, ratio(ours, bare), ratio(whole, bare)))
    columns = ("batch", "precision", "bare", "Step", "with copy and augmentation", "of bare", "of bare, with these")
    yield f"steps, images/s at {SIZE} px", columns, rows
    rows = [(name, validation(where, dtype)) for name, dtype in DTYPES.items()]
    yield "validation without decoding, images/s in batches of 256", ("precision", "images/s"), rows


def ceilings(where: torch.device, megabytes: int = 1024, side: int = 8192) -> Iterator[tuple[str, float]]:
    """Yield what the card copies and multiplies at most."""
    source = torch.zeros(megabytes << 20, dtype=torch.uint8, device=where)
    target = torch.empty_like(source)
    copies = calls_per_second(lambda: target.copy_(source), where)
    yield "copy, TB/s read and written", copies * 2 * source.nbytes / 1e12
    for name, dtype in DTYPES.items():
        factor = torch.ones(side, side, dtype=dtype, device=where)
        yield (
            f"product in {name}, TFLOP/s",
            calls_per_second(partial(torch.mm, factor, factor), where) * 2 * side**3 / 1e12,
        )


def calls_per_second(call: Callable[[], Any], where: torch.device) -> float:
    """Return how often `call` is done within a second, once it is warm."""
    times = 3
    while True:
        wait(where)
        started = time.perf_counter()
        for _ in range(times):
            call()
        wait(where)
        seconds = time.perf_counter() - started
        if seconds >= SECONDS / 2:
            return times / seconds
        times = max(2 * times, round(times * SECONDS / seconds))


def wait(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def images_per_second(call: Callable[[], Any], n: int, where: torch.device) -> float:
    return n * calls_per_second(call, where)


def speed_if_it_fits(how: Callable, where: torch.device, dtype: torch.dtype, n: int) -> float | None:
    """Return the images/s of a step for n images; None if the card has too little memory for it."""
    try:
        return images_per_second(how(where, dtype, n), n, where)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    torch.cuda.empty_cache()
    return None


def ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def make(where: torch.device) -> torch.nn.Module:
    model = make_model(tuple(map(str, range(CLASSES))), HP, None)
    model.to(where)
    set_training_mode(model, "all")
    return model


def make_batch(n: int, where: torch.device) -> Batch:
    pixels = torch.randint(256, (n, SIZE, SIZE, 3), dtype=torch.uint8)
    labels = torch.randint(CLASSES, (n,))
    if where.type == "cuda":
        pixels, labels = pixels.pin_memory(), labels.pin_memory()
    return Batch(pixels, labels, torch.arange(n), {})


def bare_step(where: torch.device, dtype: torch.dtype, n: int) -> Callable[[], None]:
    """Return the least that a step is: channels last, autocast, and a fused optimiser."""
    model, batch = make(where), make_batch(n, where)
    optimizer = make_optimizer(model, HP)
    inputs, labels = Compute(where, dtype).inputs(batch.inputs), batch.labels.to(where)

    def run() -> None:
        with torch.autocast(where.type, dtype):
            logits = model(inputs)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def make_step(where: torch.device, dtype: torch.dtype) -> Step:
    model = make(where)
    loss = torch.nn.CrossEntropyLoss()
    return Step(model, loss, make_optimizer(model, HP), Compute(where, dtype), NoProfiler("measured here"))


def step(where: torch.device, dtype: torch.dtype, n: int) -> Callable[[], torch.Tensor]:
    """Return our step on a batch that is on the GPU."""
    ours, batch = make_step(where, dtype), make_batch(n, where)
    inputs, labels = ours.compute.inputs(batch.inputs), batch.labels.to(where)
    return lambda: ours.take(inputs, labels, 1.0, HP.lr)


def moved(where: torch.device, dtype: torch.dtype, n: int) -> Callable[[], torch.Tensor]:
    """Return what the training loop does with a batch in the machine's memory."""
    ours, batch, augmentation = make_step(where, dtype), make_batch(n, where), Augmentation("standard", 0)

    def run() -> torch.Tensor:
        _, share = ours.agree(batch)
        inputs = ours.compute.inputs(batch.inputs, augmentation.of(1, 0))
        return ours.take(inputs, ours.compute.move(batch.labels), share, HP.lr)

    return run


class Made:
    """Batches of a phase that are there already."""

    def __init__(self, where: torch.device, number: int, n: int):
        self.batches = [make_batch(n, where)] * number
        self.phase = Phase("validation", Path(), ("",) * number * n, (0,) * number * n, {})

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self) -> Iterator[Batch]:
        """Return the batches."""
        return iter(self.batches)


def validation(where: torch.device, dtype: torch.dtype, number: int = 16, n: int = 256) -> float:
    """Return the images/s of an evaluation that waits for no decoding."""
    made: Any = Made(where, number, n)
    arguments = (make(where), torch.nn.CrossEntropyLoss(), made, Compute(where, dtype), SkippedImages(), Interrupt())
    return images_per_second(lambda: run_model(*arguments), number * n, where)
