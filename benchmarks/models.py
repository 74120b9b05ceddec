"""Measure the artifact's model in each engine: processor time, latency, start and memory, as a table.

Usage: python benchmarks/models.py PHOTOS MODEL

PHOTOS is a folder with JPEG files, MODEL an artifact with model.onnx and model.int8.onnx. Each engine runs in a process
of its own, so that start and memory include its libraries.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the server sets it for itself

import arguments
import machine
import numpy as np
import psutil
from machine import CORES
from peers import engines
from peers.engines import Forward

BATCH = 8
CALLS = 10
# The row that the others are compared with.
PLAIN = "torchvision fp32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=arguments.photos)
    parser.add_argument("model", type=arguments.prepared_model)
    given = parser.parse_args()
    print(f"{machine.heading()}; CPU ms an image on one core, then ms an image by the clock on all\n")
    columns = ["alone", f"{BATCH} at a time", f"alone, {CORES} cores", f"{BATCH} at a time, {CORES} cores"]
    columns += ["first answer s", "MB more"]
    print(f"| model | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    # A process for each task: spawned, so that it imports for itself.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as fresh:
        photos = sorted(given.photos.rglob("*.jpg"))[:BATCH]
        pixels = fresh.submit(read_pixels, given.model, photos).result()
        for name in fresh.submit(names, given.model).result():
            figures = fresh.submit(measure, name, given.model, pixels).result()
            print(f"| {name} | {' | '.join(f'{figure:,.1f}' for figure in figures)} |", flush=True)


def measure(name: str, folder: Path, pixels: np.ndarray) -> list[float]:
    """Return a row's figures. Runs in a new process."""
    start, before = time.monotonic(), _memory_mb()
    forward = load(name, folder, 1)
    forward(pixels[:1])
    first = [time.monotonic() - start, _memory_mb() - before]
    one_core = [least_cpu_ms(partial(forward, pixels[:n])) / n for n in (1, BATCH)]
    forward = load(name, folder, CORES)
    return [*one_core, *(least_ms(partial(forward, pixels[:n])) / n for n in (1, BATCH)), *first]


def read_pixels(folder: Path, photos: list[Path]) -> np.ndarray:
    """Return uint8 pixels (n, size, size, 3). Like the next two it imports our code, for which start is not to pay."""
    from classifier import artifact
    from classifier.images import evaluation_pixels

    size = artifact.read(folder).image_size
    return np.stack([evaluation_pixels(photo.read_bytes(), size) for photo in photos])


def names(folder: Path) -> list[str]:
    """Return the rows: a library and a precision of each."""
    from classifier import artifact, engine

    floats = [precision for precision in ("bf16", "fp32") if precision in engine.list_precisions()]
    int8 = ["int8"] if artifact.read(folder).quantization else []
    return [
        *(f"ours {precision}" for precision in int8 + floats),
        *(f"OpenVINO {precision}" for precision in int8 + floats),
        *(f"ONNX-Runtime {precision}" for precision in [*int8, "fp32"]),
        PLAIN,
    ]


def load(name: str, folder: Path, threads: int) -> Forward:
    """Return the model of a row, for the calling thread, which then has so many cores."""
    library, precision = name.split()
    file = folder / ("model.int8.onnx" if precision == "int8" else "model.onnx")
    if library == "OpenVINO":
        return engines.openvino(file, threads, {"fp32": "f32", "bf16": "bf16"}.get(precision))
    if library == "ONNX-Runtime":
        return engines.onnxruntime(file, threads)
    return _our_model(folder, precision, threads) if library == "ours" else plain_model(folder, threads)


def _our_model(folder: Path, precision: str, threads: int) -> Forward:
    from classifier import artifact
    from classifier.serving.openvino_predictor import OpenVinoPredictor

    about = artifact.read(folder)
    alone = OpenVinoPredictor(folder, about, precision).in_lane(threads)
    # Several images on several cores at a time, which the server never has.
    batches = alone if threads == 1 else OpenVinoPredictor(folder, about, precision, small=True).in_lane(threads)
    return lambda pixels: (alone if len(pixels) == 1 else batches)(pixels)[:, : len(about.classes)]


def plain_model(folder: Path, threads: int) -> Forward:
    """Return torchvision's network in fp32 with the artifact's weights."""
    import torch
    import torchvision

    from classifier import artifact

    torch.set_num_threads(threads)
    about = artifact.read(folder)
    norm = partial(torch.nn.BatchNorm2d, eps=about.eps)
    plain = torchvision.models.resnet18(num_classes=len(about.classes), norm_layer=norm)
    weights = artifact.read_weights(folder, about)
    plain.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in weights.items()})
    plain.eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (about.mean, about.std))

    @torch.inference_mode()
    def forward(pixels: np.ndarray) -> np.ndarray:
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
        return (plain(x) / about.temperature).softmax(1).numpy()

    return forward


def least_cpu_ms(function: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    return least_ms(function, time.process_time)


def least_ms(function: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> float:
    """Return the time of a call: the least of several, since other processes can only slow it down."""
    function()
    times = []
    for _ in range(CALLS):
        start = clock()
        function()
        times.append(clock() - start)
    return 1000 * min(times)


def _memory_mb() -> float:
    return psutil.Process().memory_full_info().uss / 1e6


if __name__ == "__main__":
    main()
